// Pillow's resizing of pictures of bytes, the same to the last bit, by vectors.
//
// As in its Resample.c: weights are computed in double precision and rounded to 22 binary places, rows are resized
// first and rounded to bytes, then columns. Compiled without fused multiply-adds, which would round weights otherwise.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels.h"

namespace scaling_search {
namespace {

// https://arrow.apache.org/docs/format/CDataInterface.html
struct ArrowArray {
  int64_t length, null_count, offset, n_buffers, n_children;
  const void** buffers;
  ArrowArray** children;
};

double bilinear(double x) { return std::max(0.0, 1.0 - std::fabs(x)); }

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::fabs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

// For each of `out` pixels, the first pixel of `in` that it is made of, how many, and their weights.
struct Weights {
  std::vector<int64_t> first, count;
  std::vector<int32_t> values;
  int64_t pitch;

  Weights(int64_t in, float begin, float end, int64_t out, bool cubic) : first(out), count(out) {
    const double scale = static_cast<double>(end - begin) / out;
    const double stretch = std::max(scale, 1.0);
    const double support = (cubic ? 2.0 : 1.0) * stretch, shrink = 1.0 / stretch;
    pitch = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
    values.resize(out * pitch);
    std::vector<double> exact(pitch);
    for (int64_t n = 0; n < out; ++n) {
      const double center = begin + (n + 0.5) * scale;
      first[n] = std::max<int64_t>(0, static_cast<int>(center - support + 0.5));
      count[n] = std::min<int64_t>(in, static_cast<int>(center + support + 0.5)) - first[n];
      double sum = 0;
      for (int64_t i = 0; i < count[n]; ++i) {
        const double x = (i + first[n] - center + 0.5) * shrink;
        sum += exact[i] = cubic ? bicubic(x) : bilinear(x);
      }
      for (int64_t i = 0; i < count[n]; ++i) {
        const double share = (sum != 0 ? exact[i] / sum : exact[i]) * (1 << kByteWeightBits);
        values[n * pitch + i] = static_cast<int32_t>(share < 0 ? share - 0.5 : share + 0.5);
      }
    }
  }

  const int32_t* of(int64_t n) const { return values.data() + n * pitch; }
  int64_t end() const { return first.back() + count.back(); }
};

// `kBytes` for a pixel, of which the first `kept` are written: RGB lies in memory with a fourth byte.
template <int kBytes>
void resize(const uint8_t* pixels, int64_t width, const Weights& across, const Weights& down, int64_t kept,
            uint8_t* out) {
  struct Pixel {
    uint8_t bytes[kBytes];
  };
  constexpr int64_t kRows = kByteBlock / kBytes;
  const auto* image = reinterpret_cast<const Pixel*>(pixels);
  const int64_t side = across.first.size(), left = across.first[0], columns = across.end() - left;
  const int64_t top = down.first[0], rows = down.end() - top;
  const int64_t pitch = (side * kBytes + kByteBlock - 1) / kByteBlock * kByteBlock;
  const Kernels& kernel = kernels();

  // A few rows at a time, the pixels of a column beside each other, so that one weight is that of a whole vector.
  std::vector<Pixel> block(columns * kRows);
  std::vector<uint8_t> narrow(rows * pitch);
  Pixel mixed[kRows];
  for (int64_t r = 0; r < rows; r += kRows) {
    const int64_t here = std::min(kRows, rows - r);
    for (int64_t row = 0; row < here; ++row) {
      const Pixel* line = image + (top + r + row) * width + left;
      for (int64_t x = 0; x < columns; ++x) block[x * kRows + row] = line[x];
    }
    for (int64_t n = 0; n < side; ++n) {
      kernel.weighted_bytes(across.count[n], kByteBlock, across.of(n),
                            reinterpret_cast<uint8_t*>(block.data() + (across.first[n] - left) * kRows), kByteBlock,
                            reinterpret_cast<uint8_t*>(mixed));
      for (int64_t row = 0; row < here; ++row) {
        std::memcpy(narrow.data() + (r + row) * pitch + n * kBytes, &mixed[row], kBytes);
      }
    }
  }

  std::vector<uint8_t> line(pitch);
  for (int64_t n = 0; n < side; ++n) {
    kernel.weighted_bytes(down.count[n], pitch, down.of(n), narrow.data() + (down.first[n] - top) * pitch, pitch,
                          line.data());
    // A pixel's unused byte is overwritten by the next pixel, but for the last one.
    for (int64_t x = 0; x < side - 1; ++x, out += kept) std::memcpy(out, line.data() + x * kBytes, kBytes);
    std::memcpy(out, line.data() + (side - 1) * kBytes, kept);
    out += kept;
  }
}

}  // namespace

// For `native.resize`: a picture as Pillow exports it to Arrow, of 1 channel (a byte a pixel) or 3 (four bytes).
extern "C" void scaling_search_resize(const ArrowArray* picture, int64_t width, int64_t height, int64_t channels,
                                      const float* box, int64_t cubic, int64_t side, uint8_t* out) {
  const Weights across(width, box[0], box[2], side, cubic), down(height, box[1], box[3], side, cubic);
  const ArrowArray& bytes = picture->n_children ? *picture->children[0] : *picture;
  const auto* pixels = static_cast<const uint8_t*>(bytes.buffers[1]);
  if (channels == 3) {
    resize<4>(pixels, width, across, down, 3, out);
  } else {
    resize<1>(pixels, width, across, down, 1, out);
  }
}

}  // namespace scaling_search
