// Vector registers of the instruction set that a file is compiled for, and blocks of channels that fill them.
//
// Files that include this are compiled once for each instruction set (setup.py). All of it has internal linkage, as
// must whatever they define but their tables: of two definitions of one function the linker would pick either for all.
#ifndef SCALING_SEARCH_NATIVE_LANES_H_
#define SCALING_SEARCH_NATIVE_LANES_H_

#include <stdint.h>
#include <string.h>

#include "bfloat16.h"

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
typedef uint16_t WideShort __attribute__((vector_size(2 * SCALING_SEARCH_LANES)));
typedef uint16_t QuadShort __attribute__((vector_size(8)));

template <class V>
struct Traits;
template <>
struct Traits<WideFloat> {
  using Int = WideInt;
  using Short = WideShort;
  static constexpr int kWidth = kLanes;
};
#if SCALING_SEARCH_LANES > 4
template <>
struct Traits<QuadFloat> {
  using Int = QuadInt;
  using Short = QuadShort;
  static constexpr int kWidth = 4;
};
#endif
template <>
struct Traits<float> {
  using Int = int32_t;
  using Short = uint16_t;
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

template <class To, class From>
INLINE To bits_of(From from) {
  static_assert(sizeof(To) == sizeof(From), "as many bits");
  To to;
  memcpy(&to, &from, sizeof(to));
  return to;
}

template <class To, class From>
INLINE To converted(From from) {
  if constexpr (sizeof(To) <= sizeof(int32_t)) {
    return static_cast<To>(from);
  } else {
    return __builtin_convertvector(from, To);
  }
}

// Numbers in bfloat16 are computed with as floats, and rounded to the nearest, of two to the even one.
template <class V>
INLINE V load(const Bfloat16* p) {
  typename Traits<V>::Short v;
  memcpy(&v, p, sizeof(v));
  return bits_of<V>(converted<typename Traits<V>::Int>(v) << 16);
}

template <class V>
INLINE void store(Bfloat16* p, V v) {
  using Int = typename Traits<V>::Int;
  const Int bits = bits_of<Int>(v);
  Int rounded = bits + 0x7fff + ((bits >> 16) & 1);
  // What is no number stays none.
  rounded = v == v ? rounded : (bits | 0x00400000);
  const auto half = converted<typename Traits<V>::Short>(rounded >> 16);
  memcpy(p, &half, sizeof(half));
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

// Adds to kCount sums a channel, (kCount, channels) one after another, what terms(zero, row, c, values) sets for the
// block of channels from c, whose type `zero` tells, in the order of the rows. Walks through memory as rows lie in it.
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
INLINE int64_t quotient_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// A memset costs a call, and what is cleared is short.
template <class T>
INLINE void clear(T* to, int64_t count) {
  constexpr int64_t kWidth = sizeof(WideFloat) / sizeof(T);
  const WideFloat zeros = {};
  int64_t i = 0;
  for (; i + kWidth <= count; i += kWidth) memcpy(to + i, &zeros, sizeof(zeros));
  for (; i < count; ++i) to[i] = T{};
}

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
