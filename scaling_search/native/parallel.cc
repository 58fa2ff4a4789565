// The threads that share a loop's items with the one that calls it.
#include "parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace scaling_search {
namespace {

// How long a thread looks for the next loop before it sleeps: a step's loops follow each other at once, and to wake a
// thread that sleeps takes as long as many a loop.
constexpr std::chrono::microseconds kAwake{100};
constexpr int kLooks = 16;  // Before a thread lets others have its core.

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// The number of the core that this thread is on, where the system tells.
int64_t core() {
#if defined(__linux__)
  return std::max(0, sched_getcpu());
#else
  return 0;
#endif
}

// Waits awake until `done` holds or, if it is not for ever, for kAwake. Whoever else wants the core has it meanwhile.
template <class Done>
bool watch(bool for_ever, const Done& done) {
  const auto end = std::chrono::steady_clock::now() + kAwake;
  do {
    for (int i = 0; i < kLooks; ++i) {
      if (done()) return true;
      relax();
    }
    sched_yield();
  } while (for_ever || std::chrono::steady_clock::now() < end);
  return done();
}

// A range of items, of which threads on one core take first, and others what they leave.
struct alignas(64) Range {
  std::atomic<int64_t> next{0};
  int64_t end = 0;
};

constexpr int64_t kMostRanges = 64;

struct Loop {
  const int64_t count;
  void (*const run)(const void* body, int64_t i);
  const void* const body;
  const int64_t ranges;
  std::atomic<int64_t> done{0};
  Range range[kMostRanges];

  Loop(int64_t count, void (*run)(const void*, int64_t), const void* body, int64_t threads)
      : count(count), run(run), body(body), ranges(std::min({count, threads, kMostRanges})) {
    for (int64_t r = 0; r < ranges; ++r) {
      range[r].next.store(count * r / ranges, std::memory_order_relaxed);
      range[r].end = count * (r + 1) / ranges;
    }
  }

  // Takes items as long as there are any. Loops mostly walk through the same images: where each core begins with its
  // own part of them, it finds in its cache what it left there.
  void work() {
    const int64_t own = core();
    for (int64_t r = 0; r < ranges; ++r) {
      Range& from = range[(own + r) % ranges];
      for (int64_t i; (i = from.next.fetch_add(1, std::memory_order_relaxed)) < from.end;) {
        run(body, i);
        done.fetch_add(1, std::memory_order_acq_rel);
      }
    }
  }
};

class Helpers {
 public:
  // Runs a loop, alone where another one is under way. Whoever calls takes items as the others do, and so waits for
  // none that has not begun.
  void share(Loop& loop, int64_t helpers) {
    if (busy_.exchange(true)) return loop.work();
    for (; started_ < helpers; ++started_) std::thread([this] { help(); }).detach();
    loop_ = &loop;
    ++loops_;
    if (asleep_ > 0) {
      const std::lock_guard<std::mutex> lock(mutex_);
      wake_.notify_all();
    }
    loop.work();
    watch(true, [&] { return loop.done.load(std::memory_order_acquire) == loop.count; });
    // The loop is no more when this returns.
    loop_ = nullptr;
    watch(true, [&] { return looking_ == 0; });
    busy_ = false;
  }

 private:
  [[noreturn]] void help() {
    for (int64_t seen = 0;;) {
      const auto is_new = [&] { return loops_ != seen; };
      if (!watch(false, is_new)) {
        std::unique_lock<std::mutex> lock(mutex_);
        ++asleep_;
        wake_.wait(lock, is_new);
        --asleep_;
      }
      ++looking_;
      seen = loops_;
      if (Loop* const loop = loop_) loop->work();
      --looking_;
    }
  }

  std::atomic<bool> busy_{false};
  int64_t started_ = 0;  // By who is busy.
  std::atomic<Loop*> loop_{nullptr};
  std::atomic<int64_t> loops_{0}, looking_{0}, asleep_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace

void run_in_parallel(int64_t helpers, int64_t count, void (*run)(const void* body, int64_t i), const void* body) {
  // Never destroyed, as its threads end with the process.
  static Helpers& all = *new Helpers;
  Loop loop(count, run, body, helpers + 1);
  all.share(loop, helpers);
}

}  // namespace scaling_search
