// A loop over items on XLA's own threads.
#ifndef SCALING_SEARCH_NATIVE_PARALLEL_H_
#define SCALING_SEARCH_NATIVE_PARALLEL_H_

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

#include "xla/ffi/api/ffi.h"

namespace scaling_search {

constexpr int64_t kItemFloats = 1 << 14;  // 64 KiB: a share of work that stays in a core's own cache.

// Calls body(i) once for each i in [0, count), in any order on any thread, and returns when all have returned.
//
// The caller takes items as the others do, so it never waits for a thread that has not started: only, asleep, for
// items under way elsewhere. Threads that come late find nothing left and touch nothing but the counters.
template <class Body>
void parallel_for(xla::ffi::ThreadPool& threads, int64_t count, const Body& body) {
  const int64_t helpers = std::min(threads.num_threads(), count) - 1;
  if (helpers <= 0) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  struct Progress {
    std::atomic<int64_t> next{0};
    std::atomic<int64_t> done{0};
    std::mutex mutex;
    std::condition_variable finished;
  };
  auto progress = std::make_shared<Progress>();
  auto work = [progress, count, &body] {
    for (;;) {
      const int64_t i = progress->next.fetch_add(1, std::memory_order_relaxed);
      if (i >= count) return;
      body(i);
      if (progress->done.fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
        std::lock_guard<std::mutex> lock(progress->mutex);
        progress->finished.notify_one();
      }
    }
  };
  for (int64_t i = 0; i < helpers; ++i) threads.Schedule([work] { work(); });
  work();
  auto all_done = [&] { return progress->done.load(std::memory_order_acquire) == count; };
  // Items are short: look a little before going to sleep.
  for (int i = 0; i < 4096; ++i) {
    if (all_done()) return;
  }
  std::unique_lock<std::mutex> lock(progress->mutex);
  progress->finished.wait(lock, all_done);
}

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_PARALLEL_H_
