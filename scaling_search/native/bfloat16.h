// Numbers in bfloat16: the upper half of a float.
#ifndef SCALING_SEARCH_NATIVE_BFLOAT16_H_
#define SCALING_SEARCH_NATIVE_BFLOAT16_H_

#include <stdint.h>

namespace scaling_search {

struct Bfloat16 {
  uint16_t bits;
};

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_BFLOAT16_H_
