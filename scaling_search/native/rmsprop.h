// A step of RMSProp with momentum: what one instruction set offers.
#ifndef SCALING_SEARCH_NATIVE_RMSPROP_H_
#define SCALING_SEARCH_NATIVE_RMSPROP_H_

#include "kernels.h"

namespace scaling_search {

struct RmsProp {
  float rate, momentum, decay, epsilon, weight_decay;
};

struct RmsPropKernels {
  // With g = gradient + weight_decay * parameter:
  //   new square = decay * square + (1 - decay) * g * g
  //   new update = momentum * update - rate * g / sqrt(new square + epsilon)
  // What is new may lie where the old is.
  void (*step)(const RmsProp&, int64_t count, const float* gradients, const float* parameters, const float* squares,
               const float* updates, float* new_squares, float* new_updates);
};

// Those of the widest instructions that this CPU has.
const RmsPropKernels& rmsprop_kernels();

SCALING_SEARCH_DECLARE(RmsPropKernels);

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_RMSPROP_H_
