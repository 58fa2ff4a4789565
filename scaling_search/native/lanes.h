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
typedef uint16_t WideShort __attribute__((vector_size(2 * SCALING_SEARCH_LANES)));

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

// Numbers in bfloat16 are computed with as floats, and rounded to the nearest, of two to the even one.
INLINE WideFloat widened(WideShort v) { return bits_of<WideFloat>(__builtin_convertvector(v, WideInt) << 16); }

INLINE WideShort rounded(WideFloat v) {
  const WideInt bits = bits_of<WideInt>(v);
  const WideInt nearest = bits + 0x7fff + ((bits >> 16) & 1);
  // What is no number stays none.
  return __builtin_convertvector((v == v ? nearest : (bits | 0x00400000)) >> 16, WideShort);
}

// The part of memory that a register stands for: as much as it holds, or only its first lanes. The other lanes are read
// as zeros and not written.
struct Full {};

INLINE WideFloat load(Full, const float* p) { return load<WideFloat>(p); }
INLINE void store(Full, float* p, WideFloat v) { store<WideFloat>(p, v); }

INLINE WideFloat load(Full, const Bfloat16* p) {
  WideShort v;
  memcpy(&v, p, sizeof(v));
  return widened(v);
}

INLINE void store(Full, Bfloat16* p, WideFloat v) {
  const WideShort half = rounded(v);
  memcpy(p, &half, sizeof(half));
}

#if defined(__AVX512F__)
struct Tail {
  __mmask16 mask;
  INLINE explicit Tail(int64_t count) : mask(static_cast<__mmask16>((1u << count) - 1)) {}
};

INLINE WideFloat load(Tail tail, const float* p) { return _mm512_maskz_loadu_ps(tail.mask, p); }
INLINE void store(Tail tail, float* p, WideFloat v) { _mm512_mask_storeu_ps(p, tail.mask, v); }

INLINE WideFloat load(Tail tail, const Bfloat16* p) {
  return widened(bits_of<WideShort>(_mm256_maskz_loadu_epi16(tail.mask, p)));
}
INLINE void store(Tail tail, Bfloat16* p, WideFloat v) {
  _mm256_mask_storeu_epi16(p, tail.mask, bits_of<__m256i>(rounded(v)));
}
#else
// memcpy of fewer than a register's numbers would be a call.
template <class T>
INLINE void copy_few(T* to, const T* from, int64_t count) {
  int64_t done = 0;
  if (kLanes > 4 && (count & 4)) {
    memcpy(to, from, 4 * sizeof(T));
    done = 4;
  }
  if (count & 2) {
    memcpy(to + done, from + done, 2 * sizeof(T));
    done += 2;
  }
  if (count & 1) to[done] = from[done];
}

template <class V, class T>
INLINE V load_few(const T* p, int64_t count) {
  T few[kLanes] = {};
  copy_few(few, p, count);
  V v;
  memcpy(&v, few, sizeof(v));
  return v;
}

template <class V, class T>
INLINE void store_few(T* p, V v, int64_t count) {
  T few[kLanes];
  memcpy(few, &v, sizeof(v));
  copy_few(p, few, count);
}

#if defined(__AVX2__)
struct Tail {
  int64_t count;
  __m256i mask;
  INLINE explicit Tail(int64_t count)
      : count(count), mask(bits_of<__m256i>(WideInt{0, 1, 2, 3, 4, 5, 6, 7} < static_cast<int32_t>(count))) {}
};

INLINE WideFloat load(Tail tail, const float* p) { return _mm256_maskload_ps(p, tail.mask); }
INLINE void store(Tail tail, float* p, WideFloat v) { _mm256_maskstore_ps(p, tail.mask, v); }
#else
struct Tail {
  int64_t count;
  INLINE explicit Tail(int64_t count) : count(count) {}
};

INLINE WideFloat load(Tail tail, const float* p) { return load_few<WideFloat>(p, tail.count); }
INLINE void store(Tail tail, float* p, WideFloat v) { store_few(p, v, tail.count); }
#endif

INLINE WideFloat load(Tail tail, const Bfloat16* p) { return widened(load_few<WideShort>(p, tail.count)); }
INLINE void store(Tail tail, Bfloat16* p, WideFloat v) { store_few(p, rounded(v), tail.count); }
#endif

// Calls body(part, first channel) for each register's worth of channels, Full ones and what is left over.
template <class Body>
INLINE void for_blocks(int64_t channels, const Body& body) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) body(Full{}, c);
  if (c < channels) body(Tail(channels - c), c);
}

INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t quotient_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// A memset costs a call, and what is cleared is short.
template <class T>
INLINE void clear(T* to, int64_t count) {
  for_blocks(count, [&](auto part, int64_t i) __attribute__((always_inline)) { store(part, to + i, WideFloat{}); });
}

// Calls body(part, at, c) for each register's worth of the elements [begin, end), of which `line` make a row: c is the
// place in it.
template <class Body>
INLINE void for_elements(int64_t begin, int64_t end, int64_t line, const Body& body) {
  for (int64_t row = begin; row < end; row += line) {
    for_blocks(smaller(line, end - row),
               [&](auto part, int64_t c) __attribute__((always_inline)) { body(part, row + c, c); });
  }
}

constexpr int kRowsAtOnce = 4;

template <int kCount>
struct AtOnce {
  static constexpr int kRows = kCount;
};

// Columns whose sums over rows are kept at a time.
constexpr int64_t kSumsAtOnce = 1280;

// Sums a column, kCount of them. They fill whole registers: what part of one wrote could not be loaded again before it
// is in the cache.
template <int kCount>
struct ColumnSums {
  float of[kCount][kSumsAtOnce];

  INLINE void clear_first(int64_t count) {
    for (int n = 0; n < kCount; ++n) clear(of[n], quotient_up(count, kLanes) * kLanes);
  }
};

// Adds in order what terms(part, at, c, values) sets for the elements from `at`, in columns from c, to the sums of
// columns [first, first + count): of rows of `line` elements, [begin, end) in all, of which the last may be shorter.
template <int kCount, class Terms>
INLINE void add_rows(int64_t begin, int64_t end, int64_t line, int64_t first, int64_t count, ColumnSums<kCount>& sums,
                     const Terms& terms) {
  const auto add = [&](auto at_once, int64_t row, int64_t columns) __attribute__((always_inline)) {
    for_blocks(columns, [&](auto part, int64_t c) __attribute__((always_inline)) {
      WideFloat totals[kCount], values[kCount];
#pragma GCC unroll 2
      for (int n = 0; n < kCount; ++n) totals[n] = load<WideFloat>(sums.of[n] + c);
#pragma GCC unroll 4
      for (int i = 0; i < decltype(at_once)::kRows; ++i) {
        terms(part, row + i * line + first + c, first + c, values);
#pragma GCC unroll 2
        for (int n = 0; n < kCount; ++n) totals[n] += values[n];
      }
#pragma GCC unroll 2
      for (int n = 0; n < kCount; ++n) store<WideFloat>(sums.of[n] + c, totals[n]);
    });
  };
  int64_t row = begin;
  for (; row + kRowsAtOnce * line <= end; row += kRowsAtOnce * line) add(AtOnce<kRowsAtOnce>{}, row, count);
  for (; row < end; row += line) add(AtOnce<1>{}, row, smaller(count, end - row - first));
}

// Sums over rows, kCount a column, of what terms sets, as above: take(first, count, sums) has those of columns [first,
// first + count). It walks through memory as rows lie there.
template <int kCount, class Terms, class Take>
INLINE void sum_rows(int64_t begin, int64_t end, int64_t line, const Terms& terms, const Take& take) {
  ColumnSums<kCount> sums;
  for (int64_t first = 0; first < line; first += kSumsAtOnce) {
    const int64_t count = smaller(kSumsAtOnce, line - first);
    sums.clear_first(count);
    add_rows(begin, end, line, first, count, sums, terms);
    take(first, count, sums.of);
  }
}

// Has the cache fetch what will be read or written, and what a loop reads or writes soon: by themselves cores fetch too
// little ahead.
template <class T>
INLINE void fetch(const T* p) {
  __builtin_prefetch(p);
}
template <class T>
INLINE void fetch_ahead(const T* p) {
  fetch(p + 2048);
}

INLINE WideFloat broadcast(float value) { return WideFloat{} + value; }

// A value that is no number stays one: of two values where one is no number, these instructions take the second.
INLINE WideFloat clamp(WideFloat x, float low, float high) {
#if defined(__AVX512F__)
  // By a mask of all, as GCC 12 warns of its own header otherwise.
  x = _mm512_maskz_max_ps(0xffff, _mm512_set1_ps(low), x);
  return _mm512_maskz_min_ps(0xffff, _mm512_set1_ps(high), x);
#elif defined(__AVX2__)
  return _mm256_min_ps(_mm256_set1_ps(high), _mm256_max_ps(_mm256_set1_ps(low), x));
#else
  x = x < broadcast(low) ? broadcast(low) : x;
  return x > broadcast(high) ? broadcast(high) : x;
#endif
}

}  // namespace
}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_LANES_H_
