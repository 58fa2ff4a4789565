// Vector registers of the instruction set that a file is compiled for, and blocks of channels that fill them.
//
// Files that include this are compiled once for each instruction set (setup.py). All of it has internal linkage, as must
// whatever they define but their tables: of two definitions of one function the linker would pick either for all.
#ifndef SCALING_SEARCH_NATIVE_LANES_H_
#define SCALING_SEARCH_NATIVE_LANES_H_

#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

// The instruction set's name, that of its table of kernels, and the floats of a register.
#if defined(__AVX512F__)
#define SCALING_SEARCH_NAME "AVX-512"
#define SCALING_SEARCH_TABLE(kernels) kAvx512##kernels
#define SCALING_SEARCH_LANES 16
#elif defined(__AVX2__)
#define SCALING_SEARCH_NAME "AVX2"
#define SCALING_SEARCH_TABLE(kernels) kAvx2##kernels
#define SCALING_SEARCH_LANES 8
#else
#define SCALING_SEARCH_NAME "baseline instructions"
#define SCALING_SEARCH_TABLE(kernels) kDefault##kernels
#define SCALING_SEARCH_LANES 4
#endif

#define INLINE inline __attribute__((always_inline))

namespace scaling_search {
namespace {

constexpr int kLanes = SCALING_SEARCH_LANES;

typedef float WideFloat __attribute__((vector_size(4 * SCALING_SEARCH_LANES)));
typedef int32_t WideInt __attribute__((vector_size(4 * SCALING_SEARCH_LANES)));
typedef float QuadFloat __attribute__((vector_size(16)));
typedef int32_t QuadInt __attribute__((vector_size(16)));

template <class V>
struct Traits;
template <>
struct Traits<WideFloat> {
  using Int = WideInt;
  static constexpr int kWidth = kLanes;
};
#if SCALING_SEARCH_LANES > 4
template <>
struct Traits<QuadFloat> {
  using Int = QuadInt;
  static constexpr int kWidth = 4;
};
#endif
template <>
struct Traits<float> {
  using Int = int32_t;
  static constexpr int kWidth = 1;
};

// Any alignment.
template <class V>
INLINE V load(const float* p) {
  V v;
  memcpy(&v, p, sizeof(v));
  return v;
}

template <class V>
INLINE void store(float* p, V v) {
  memcpy(p, &v, sizeof(v));
}

// Calls body(V(), first channel) for each block of channels: wide ones, then four, then one at a time.
template <class Body>
INLINE void for_blocks(int64_t channels, const Body& body) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) body(WideFloat{}, c);
  for (; c + 4 <= channels; c += 4) body(QuadFloat{}, c);
  for (; c < channels; ++c) body(float{}, c);
}

constexpr int kRowsAtOnce = 2;

template <int kCount>
struct AtOnce {
  static constexpr int kRows = kCount;
};

// Adds to kCount sums a channel, (kCount, channels) one after another, what terms(zero, row, c, values) sets for the block
// of channels from c, whose type `zero` tells, in the order of the rows. Walks through memory as rows lie in it.
template <int kCount, class Terms>
INLINE void add_rows(int64_t begin, int64_t end, int64_t channels, float* sums, const Terms& terms) {
  const auto add = [&](auto at_once, int64_t row) __attribute__((always_inline)) {
    for_blocks(channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
      using V = decltype(zero);
      V totals[kCount], values[kCount];
#pragma GCC unroll 2
      for (int n = 0; n < kCount; ++n) totals[n] = load<V>(sums + n * channels + c);
#pragma GCC unroll 4
      for (int i = 0; i < decltype(at_once)::kRows; ++i) {
        terms(zero, row + i, c, values);
#pragma GCC unroll 2
        for (int n = 0; n < kCount; ++n) totals[n] += values[n];
      }
#pragma GCC unroll 2
      for (int n = 0; n < kCount; ++n) store<V>(sums + n * channels + c, totals[n]);
    });
  };
  int64_t row = begin;
  for (; row + kRowsAtOnce <= end; row += kRowsAtOnce) add(AtOnce<kRowsAtOnce>{}, row);
  for (; row < end; ++row) add(AtOnce<1>{}, row);
}

INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

template <class V>
INLINE V broadcast(float value) {
  return V{} + value;
}

// A value that is no number stays one.
template <class V>
INLINE V clamp(V x, float low, float high) {
  x = x < broadcast<V>(low) ? broadcast<V>(low) : x;
  return x > broadcast<V>(high) ? broadcast<V>(high) : x;
}

// The same in two instructions: of two values where one is no number, these take the second.
#if defined(__AVX512F__)
INLINE WideFloat clamp(WideFloat x, float low, float high) {
  // By a mask of all, as GCC 12 warns of its own header otherwise.
  x = _mm512_maskz_max_ps(0xffff, _mm512_set1_ps(low), x);
  return _mm512_maskz_min_ps(0xffff, _mm512_set1_ps(high), x);
}
#elif defined(__AVX2__)
INLINE WideFloat clamp(WideFloat x, float low, float high) {
  return _mm256_min_ps(_mm256_set1_ps(high), _mm256_max_ps(_mm256_set1_ps(low), x));
}
#endif

}  // namespace
}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_LANES_H_
