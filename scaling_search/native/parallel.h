// A loop over items on threads of our own, which wait for the next loop awake for a moment.
#ifndef SCALING_SEARCH_NATIVE_PARALLEL_H_
#define SCALING_SEARCH_NATIVE_PARALLEL_H_

#include <algorithm>
#include <cstdint>

#include "xla/ffi/api/ffi.h"

namespace scaling_search {

constexpr int64_t kItemFloats = 1 << 14;  // 64 KiB: a share of work that stays in a core's own cache.

// Calls run(body, i) once for each i in [0, count), in any order on this thread and on as many others as are free, of
// which there are `helpers`; returns when all calls have.
void run_in_parallel(int64_t helpers, int64_t count, void (*run)(const void* body, int64_t i), const void* body);

// Calls body(i) once for each i in [0, count), in any order on any thread, and returns when all have returned. There
// are as many threads as XLA has, whose own are woken too late for what a call has to do.
template <class Body>
void parallel_for(const xla::ffi::ThreadPool& threads, int64_t count, const Body& body) {
  const int64_t helpers = std::min(threads.num_threads(), count) - 1;
  if (helpers > 0) {
    const auto run = [](const void* of, int64_t i) { (*static_cast<const Body*>(of))(i); };
    run_in_parallel(threads.num_threads() - 1, count, run, &body);
  } else {
    for (int64_t i = 0; i < count; ++i) body(i);
  }
}

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_PARALLEL_H_
