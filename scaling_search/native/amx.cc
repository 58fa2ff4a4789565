// Products of tiles in bfloat16, compiled for CPUs that have them (see amx.h and setup.py).
#include "amx.h"

#if defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__AVX512BW__)

#include <immintrin.h>

#include "gather.h"

#if !defined(__clang__)
// GCC 12 warns of its own header.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace scaling_search {
namespace {

constexpr int64_t kHalf = kAmxBlock / 2;      // Rows of a tile, and its pairs.
constexpr int64_t kTile = kHalf * kAmxBlock;  // Elements.
constexpr int64_t kLineBytes = 64;

// Tells the CPU that all tiles are whole, as long as this lives.
struct Tiles {
  Tiles() {
    struct alignas(64) {
      uint8_t palette = 1, start = 0, reserved[14] = {};
      uint16_t bytes[16] = {};
      uint8_t rows[16] = {};
    } shape;
    for (int n = 0; n < 8; ++n) {
      shape.bytes[n] = kLineBytes;
      shape.rows[n] = kHalf;
    }
    _tile_loadconfig(&shape);
  }
  ~Tiles() { _tile_release(); }
};

INLINE __mmask16 mask_of(int64_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xffff : (1u << larger(0, count)) - 1);
}

// Pairs (even[n], odd[n]) of the columns in each one's mask, zeros for the others.
INLINE __m512i pairs(const Bfloat16* even, __mmask16 of_even, const Bfloat16* odd, __mmask16 of_odd) {
  const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(of_even, even));
  const __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(of_odd, odd));
  return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

// The transpose of a matrix of 16 rows of 16.
INLINE void transpose(__m512i (&rows)[16]) {
  __m512i a[16], b[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    a[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
    b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
    b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
    b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    a[i] = _mm512_shuffle_i32x4(b[i], b[i + 4], 0x88);
    a[i + 4] = _mm512_shuffle_i32x4(b[i], b[i + 4], 0xdd);
    a[i + 8] = _mm512_shuffle_i32x4(b[i + 8], b[i + 12], 0x88);
    a[i + 12] = _mm512_shuffle_i32x4(b[i + 8], b[i + 12], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    rows[i] = _mm512_shuffle_i32x4(a[i], a[i + 8], 0x88);
    rows[i + 8] = _mm512_shuffle_i32x4(a[i], a[i + 8], 0xdd);
    rows[i + 4] = _mm512_shuffle_i32x4(a[i + 4], a[i + 12], 0x88);
    rows[i + 12] = _mm512_shuffle_i32x4(a[i + 4], a[i + 12], 0xdd);
  }
}

// A place for panel `column / 32` of so many steps, block `block` of these, tile column / 16 % 2.
INLINE Bfloat16* tile_at(Bfloat16* panels, int64_t blocks, int64_t block, int64_t column) {
  return panels + ((column / kAmxBlock * blocks + block) * 2 + column / kHalf % 2) * kTile;
}

void pack(int64_t depth, int64_t columns, int64_t block, const Bfloat16* matrix, Bfloat16* panels) {
  const int64_t blocks = quotient_up(depth, kAmxBlock), whole = quotient_up(columns, kAmxBlock) * kAmxBlock;
  for (int64_t pair = 0; pair < kHalf; ++pair) {
    const int64_t k = block * kAmxBlock + 2 * pair;
    const Bfloat16* even = matrix + smaller(k, depth - 1) * columns;
    const Bfloat16* odd = matrix + smaller(k + 1, depth - 1) * columns;
    for (int64_t c = 0; c < whole; c += kHalf) {
      const __mmask16 mask = mask_of(columns - c);
      _mm512_store_si512(tile_at(panels, blocks, block, c) + pair * kAmxBlock,
                         pairs(even + c, k < depth ? mask : 0, odd + c, k + 1 < depth ? mask : 0));
    }
  }
}

void pack_turned(const int64_t* taps, int64_t count, int64_t channels, int64_t features, int64_t block,
                 const Bfloat16* kernel, Bfloat16* panels) {
  const int64_t depth = count * features, blocks = quotient_up(depth, kAmxBlock), begin = block * kAmxBlock;
  const int64_t whole = quotient_up(channels, kAmxBlock) * kAmxBlock;
  for (int64_t c = 0; c < whole; c += kHalf) {
    Bfloat16* const to = tile_at(panels, blocks, block, c);
    const auto from = [&](int64_t step) __attribute__((always_inline)) {
      return kernel + (taps[step / features] * channels + c) * features + step % features;
    };
    if (features % kAmxBlock == 0) {
      // A channel's pairs are a row here and a column there.
      __m512i rows[16];
#pragma GCC unroll 16
      for (int n = 0; n < 16; ++n) {
        rows[n] = c + n < channels ? _mm512_loadu_si512(from(begin) + n * features) : _mm512_setzero_si512();
      }
      transpose(rows);
#pragma GCC unroll 16
      for (int n = 0; n < 16; ++n) _mm512_store_si512(to + n * kAmxBlock, rows[n]);
      continue;
    }
    for (int64_t n = 0; n < kTile; ++n) {
      const int64_t channel = n % kAmxBlock / 2, step = begin + n / kAmxBlock * 2 + n % 2;
      to[n] = step < depth && c + channel < channels ? from(step)[channel * features] : Bfloat16{0};
    }
  }
}

// Adds to the four tiles of a block of 32 rows and columns, in floats `pitch` apart, or begins it, what steps
// [first, last) give: left(row of tiles, step) and right(column of tiles, step) say where their tiles lie, and the left
// one's rows are `left_bytes` apart.
template <class Left, class Right>
INLINE void multiply(int64_t first, int64_t last, const Left& left, int64_t left_bytes, const Right& right, bool begin,
                     float* sums, int64_t pitch) {
  const int64_t bytes = pitch * sizeof(float);
  float* const lower = sums + kHalf * pitch;
  if (begin) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, sums, bytes);
    _tile_loadd(1, sums + kHalf, bytes);
    _tile_loadd(2, lower, bytes);
    _tile_loadd(3, lower + kHalf, bytes);
  }
  for (int64_t k = first; k < last; ++k) {
    _tile_loadd(4, left(0, k), left_bytes);
    _tile_loadd(6, right(0, k), kLineBytes);
    _tile_loadd(7, right(1, k), kLineBytes);
    _tile_loadd(5, left(1, k), left_bytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums, bytes);
  _tile_stored(1, sums + kHalf, bytes);
  _tile_stored(2, lower, bytes);
  _tile_stored(3, lower + kHalf, bytes);
}

// Room for what is packed, in a scratch.
struct Room {
  Bfloat16* left;    // A block of rows.
  float* sums;       // (kAmxRows, kAmxColumns).
  Bfloat16* turned;  // The left side of a kernel's gradient.
  Bfloat16* right;   // And its right one.
  Bfloat16 *even, *odd;  // Windows of two pixels.

  explicit Room(void* scratch) {
    char* at = static_cast<char*>(scratch);
    const auto take = [&](int64_t bytes) {
      char* const taken = at;
      at += bytes;
      return taken;
    };
    left = reinterpret_cast<Bfloat16*>(take(2 * kAmxBlock * kAmxPitch));
    sums = reinterpret_cast<float*>(take(4 * kAmxRows * kAmxColumns));
    turned = reinterpret_cast<Bfloat16*>(take(2 * kAmxRows * kAmxDepth));
    right = reinterpret_cast<Bfloat16*>(take(2 * kAmxColumns * kAmxDepth));
    even = reinterpret_cast<Bfloat16*>(take(4 * kAmxColumns));
    odd = reinterpret_cast<Bfloat16*>(take(4 * kAmxColumns));
  }
};

bool is_plain(const Window& w) {
  return w.rows * w.columns == 1 && w.stride == 1 && w.top == 0 && w.left == 0 && w.out_height == w.height &&
         w.out_width == w.width;
}

INLINE void put_rounded(const float* sums, int64_t columns, Bfloat16* out) {
  const __m512bh rounded = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(sums + kHalf), _mm512_loadu_ps(sums));
  const __mmask32 mask = static_cast<__mmask32>(columns >= kAmxBlock ? 0xffffffffu : (1u << columns) - 1);
  _mm512_mask_storeu_epi16(out, mask, reinterpret_cast<const __m512i&>(rounded));
}

void forward(const Dense& d, const Tile& tile, const Bfloat16* x, const Bfloat16* panels, Bfloat16* y, void* scratch) {
  const Window& w = d.window;
  const Room room(scratch);
  const int64_t depth = d.depth(), blocks = quotient_up(depth, kAmxBlock);
  // Rows of tiles are read where they lie; rows a multiple of 2 KiB apart would share few places of the first cache.
  const bool in_place = is_plain(w) && w.channels % kAmxBlock == 0 && w.channels % 1024 != 0;
  int64_t places[kAmxRows];
  Pixel pixel = Pixel::at(d, tile.row);
  for (int64_t i = 0; i < tile.rows; ++i, pixel.advance(d)) places[i] = pixel.full_place(d) * d.features + tile.column;
  if (depth == 0) {
    for (int64_t i = 0; i < tile.rows; ++i) clear(y + places[i], tile.columns);
    return;
  }
  const Tiles tiles;
  constexpr int64_t kMost = kAmxDepth / kAmxBlock;
  for (int64_t from = 0; from < blocks; from += kMost) {
    const int64_t to = smaller(from + kMost, blocks);
    const int64_t begin = from * kAmxBlock, end = smaller(to * kAmxBlock, depth);
    for (int64_t i = 0; i < tile.rows; i += kAmxBlock) {
      const int64_t rows = smaller(kAmxBlock, tile.rows - i);
      const Bfloat16* left = room.left;
      int64_t pitch = kAmxPitch;
      Steps steps{0, end - begin};
      if (in_place && rows == kAmxBlock) {
        left = x + (tile.row + i) * w.channels + begin;
        pitch = w.channels;
      } else {
        Pixel pixel = Pixel::at(d, tile.row + i);
        steps = Steps::none();
        for (int64_t n = 0; n < rows; ++n, pixel.advance(d)) {
          Bfloat16* const row = room.left + n * pitch;
          const Steps inside = gather(d, pixel, begin, end, x, row);
          clear(row + end - begin, (to - from) * kAmxBlock - (end - begin));
          steps.include(inside.first, inside.last);
        }
      }
      // Blocks of steps in which a pixel lies inside the image.
      const int64_t first = steps.first / kAmxBlock, last = quotient_up(steps.last, kAmxBlock);
      for (int64_t j = 0; j < tile.columns; j += kAmxBlock) {
        float* const sums = room.sums + i * kAmxColumns + j;
        const Bfloat16* const panel = panels + ((tile.column + j) / kAmxBlock * blocks + from) * 2 * kTile;
        multiply(
            smaller(first, last), last,
            [&](int half, int64_t k)
                __attribute__((always_inline)) { return left + half * kHalf * pitch + k * kAmxBlock; },
            pitch * static_cast<int64_t>(sizeof(Bfloat16)),
            [&](int half, int64_t k) __attribute__((always_inline)) { return panel + (2 * k + half) * kTile; },
            from == 0, sums, kAmxColumns);
        if (to < blocks) continue;
        const int64_t columns = smaller(kAmxBlock, tile.columns - j);
        for (int64_t n = 0; n < rows; ++n) put_rounded(sums + n * kAmxColumns, columns, y + places[i + n] + j);
      }
    }
  }
}

void dkernel(const Dense& d, const Tile& tile, int64_t begin, int64_t end, const Bfloat16* x, const Bfloat16* dy,
             float* sums, int64_t pitch, void* scratch) {
  const Window& w = d.window;
  const Room room(scratch);
  const bool plain = is_plain(w);
  const int64_t rows = quotient_up(tile.rows, kAmxBlock) * kAmxBlock;
  const int64_t columns = quotient_up(tile.columns, kAmxBlock) * kAmxBlock;
  constexpr int64_t kMost = kAmxDepth / kAmxBlock;
  const Tiles tiles;
  for (int64_t from = begin; from < end; from += kAmxDepth) {
    const int64_t to = smaller(from + kAmxDepth, end), blocks = quotient_up(to - from, kAmxBlock);
    Steps inside[kMost];
    Pixel pixel = Pixel::at(d, from);
    for (int64_t block = 0; block < blocks; ++block) {
      inside[block] = Steps::none();
      const Bfloat16* slopes[kAmxBlock];
      __mmask16 there[kAmxBlock];
      for (int64_t pair = 0; pair < kHalf; ++pair) {
        const Bfloat16* windows[2] = {room.even, room.odd};
        Bfloat16* const gathered[2] = {room.even, room.odd};
        for (int half = 0; half < 2; ++half) {
          const int64_t p = from + block * kAmxBlock + 2 * pair + half;
          there[2 * pair + half] = p < to ? 0xffff : 0;
          slopes[2 * pair + half] = dy;
          if (p >= to) {
            clear(gathered[half], columns);
            continue;
          }
          slopes[2 * pair + half] = dy + pixel.place(d) * d.features + tile.row;
          if (plain) {
            windows[half] = x + p * w.channels + tile.column;
            inside[block].include(0, tile.columns);
          } else {
            const Steps met = gather(d, pixel, tile.column, tile.column + tile.columns, x, gathered[half]);
            inside[block].include(met.first, met.last);
          }
          pixel.advance(d);
        }
        for (int64_t c = 0; c < columns; c += kHalf) {
          const __mmask16 mask = mask_of(tile.columns - c);
          _mm512_store_si512(tile_at(room.right, kMost, block, c) + pair * kAmxBlock,
                             pairs(windows[0] + c, mask, windows[1] + c, mask));
        }
      }
      for (int64_t f = 0; f < rows; f += kHalf) {
        const __mmask16 mask = mask_of(tile.rows - f);
        __m512i values[16];
#pragma GCC unroll 16
        for (int n = 0; n < 16; ++n) {
          values[n] = pairs(slopes[2 * n] + f, mask & there[2 * n], slopes[2 * n + 1] + f, mask & there[2 * n + 1]);
        }
        transpose(values);
        Bfloat16* const to_tile = room.turned + (f / kHalf * kMost + block) * kTile;
#pragma GCC unroll 16
        for (int n = 0; n < 16; ++n) _mm512_store_si512(to_tile + n * kAmxBlock, values[n]);
      }
    }
    for (int64_t j = 0; j < columns; j += kAmxBlock) {
      // Blocks of pixels in whose windows a pixel lies inside the image.
      int64_t first = 0, last = blocks;
      const auto outside = [&](int64_t block) {
        return inside[block].last <= j || inside[block].first >= j + kAmxBlock;
      };
      while (first < last && outside(first)) ++first;
      while (last > first && outside(last - 1)) --last;
      for (int64_t i = 0; i < rows; i += kAmxBlock) {
        multiply(
            first, last,
            [&](int half, int64_t k)
                __attribute__((always_inline)) { return room.turned + ((i / kHalf + half) * kMost + k) * kTile; },
            kLineBytes,
            [&](int half, int64_t k)
                __attribute__((always_inline)) { return tile_at(room.right, kMost, k, j + half * kHalf); },
            from == begin, sums + i * pitch + j, pitch);
      }
    }
  }
}

void finish(int64_t first, int64_t depth, int64_t features, int64_t count, int64_t size, int64_t pitch,
            const float* sums, Bfloat16* dkernel) {
  for (int64_t f = 0; f < features; f += 16) {
    __m512i values[16];
    for (int64_t n = 0; n < 16; ++n) {
      const float* row = sums + smaller(f + n, features - 1) * pitch + first;
      __m512 total = _mm512_loadu_ps(row);
      for (int64_t share = 1; share < count; ++share) total = _mm512_add_ps(total, _mm512_loadu_ps(row + share * size));
      values[n] = _mm512_castps_si512(total);
    }
    transpose(values);
    for (int64_t n = 0; n < smaller(16, depth - first); ++n) {
      const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_castsi512_ps(values[n]));
      _mm256_mask_storeu_epi16(dkernel + (first + n) * features + f, mask_of(features - f),
                               reinterpret_cast<const __m256i&>(rounded));
    }
  }
}

constexpr AmxKernels kTable = {pack, pack_turned, forward, dkernel, finish};

}  // namespace

const AmxKernels* const kAmxKernels = &kTable;

}  // namespace scaling_search

#else

namespace scaling_search {

const AmxKernels* const kAmxKernels = nullptr;

}  // namespace scaling_search

#endif
