// Sums of weighted rows, of floats and of bytes, and matrix products, compiled once for each instruction set (see
// kernels.h and setup.py).
//
// Channels lie next to each other in memory, so every kernel goes through a block of channels at a time with one
// vector register a value. Of channels beyond the last full block part of a register is read and written, so nothing is
// out of bounds. No kernel knows of threads: sums are in the order of the rows it is given.
#include "kernels.h"

#include "lanes.h"

namespace scaling_search {
namespace {

void weighted_sum(int64_t count, int64_t columns, const float* weights, int64_t pitch, const float* rows, float* out) {
  for_blocks(columns, [&](auto part, int64_t c) __attribute__((always_inline)) {
    WideFloat sum = {};
    for (int64_t n = 0; n < count; ++n) sum += load(part, rows + n * columns + c) * weights[n * pitch];
    store(part, out + c, sum);
  });
}

// Compilers widen whole vectors of bytes well, and parts of one badly: hence the intrinsics.
#if defined(__AVX2__)
struct ByteSums {
  __m256i parts[4];
};

INLINE ByteSums rounding_half() {
  const __m256i half = _mm256_set1_epi32(1 << (kByteWeightBits - 1));
  return {{half, half, half, half}};
}

INLINE void add_weighted(ByteSums& sums, const uint8_t* bytes, int32_t weight) {
  const __m256i factor = _mm256_set1_epi32(weight);
  for (int part = 0; part < 4; ++part) {
    const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes + 8 * part));
    sums.parts[part] =
        _mm256_add_epi32(sums.parts[part], _mm256_mullo_epi32(_mm256_cvtepu8_epi32(eight), factor));
  }
}

INLINE void store_clipped(const ByteSums& sums, uint8_t* out) {
  __m256i shifted[4];
  for (int part = 0; part < 4; ++part) shifted[part] = _mm256_srai_epi32(sums.parts[part], kByteWeightBits);
  // Both saturate, and keep to halves of a register.
  const __m256i words = _mm256_packus_epi16(_mm256_packs_epi32(shifted[0], shifted[1]),
                                            _mm256_packs_epi32(shifted[2], shifted[3]));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_permutevar8x32_epi32(words, order));
}
#else
struct ByteSums {
  int32_t parts[kByteBlock];
};

INLINE ByteSums rounding_half() {
  ByteSums sums;
  for (int32_t& part : sums.parts) part = 1 << (kByteWeightBits - 1);
  return sums;
}

INLINE void add_weighted(ByteSums& sums, const uint8_t* bytes, int32_t weight) {
  for (int n = 0; n < kByteBlock; ++n) sums.parts[n] += bytes[n] * weight;
}

INLINE void store_clipped(const ByteSums& sums, uint8_t* out) {
  for (int n = 0; n < kByteBlock; ++n) {
    const int32_t value = sums.parts[n] >> kByteWeightBits;
    out[n] = static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
  }
}
#endif

void weighted_bytes(int64_t count, int64_t columns, const int32_t* weights, const uint8_t* rows, int64_t pitch,
                    uint8_t* out) {
  for (int64_t c = 0; c < columns; c += kByteBlock) {
    ByteSums sums = rounding_half();
    for (int64_t n = 0; n < count; ++n) add_weighted(sums, rows + n * pitch + c, weights[n]);
    store_clipped(sums, out + c);
  }
}

// ---------------------------------------------------------------------------------------------- matrices

constexpr int kTileRows = kLanes == 16 ? 8 : kLanes == 8 ? 4 : 2;
constexpr int kPanelVectors = (kLanes == 16 ? 2 : 1) * kMatrixBlock / kLanes;
constexpr int64_t kPanel = kPanelVectors * kLanes;
constexpr int64_t kDepth = 256;  // Rows at a time: a panel of the right matrix stays in the first cache.

// Adds to a tile of out, or begins it, what `count` rows of the left matrix and of a panel of the right one give.
INLINE void cross_tile(int64_t count, const float* left, int64_t left_pitch, const float* panel, bool begin, float* out,
                       int64_t out_pitch, int64_t vectors) {
  WideFloat sums[kTileRows][kPanelVectors] = {};
  for (int64_t n = 0; n < count; ++n) {
    WideFloat values[kPanelVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kPanelVectors; ++v) values[v] = load<WideFloat>(panel + n * kPanel + v * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 8
      for (int v = 0; v < kPanelVectors; ++v) sums[i][v] += left[n * left_pitch + i] * values[v];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < kPanelVectors; ++v) {
      if (v >= vectors) break;
      float* const to = out + i * out_pitch + v * kLanes;
      store<WideFloat>(to, begin ? sums[i][v] : load<WideFloat>(to) + sums[i][v]);
    }
  }
}

void cross(const Cross& c, const float* left, const float* right, float* out) {
  float panel[kDepth * kPanel];
  for (int64_t first = 0; first < c.count; first += kDepth) {
    const int64_t count = smaller(kDepth, c.count - first);
    for (int64_t j = 0; j < c.columns; j += kPanel) {
      const int64_t width = smaller(kPanel, c.columns - j);
      for (int64_t n = 0; n < count; ++n) {
        memcpy(panel + n * kPanel, right + (first + n) * c.columns + j, static_cast<size_t>(width) * sizeof(float));
      }
      const int64_t rows = c.symmetric ? smaller(c.rows, j + width) : c.rows;
      for (int64_t i = 0; i < rows; i += kTileRows) {
        cross_tile(count, left + first * c.pitch + i, c.pitch, panel, first == 0, out + i * c.columns + j, c.columns,
                   width / kLanes);
      }
    }
  }
  if (!c.symmetric) return;
  for (int64_t i = 0; i < c.rows; ++i) {
    for (int64_t j = 0; j < i; ++j) out[i * c.columns + j] = out[j * c.columns + i];
  }
}

}  // namespace

const Kernels SCALING_SEARCH_TABLE(Kernels) = {SCALING_SEARCH_NAME, weighted_sum, weighted_bytes, cross};

}  // namespace scaling_search
