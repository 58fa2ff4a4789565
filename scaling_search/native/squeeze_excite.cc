// Squeeze-and-excitation, compiled once for each instruction set (see squeeze_excite.h and setup.py).
#include "squeeze_excite.h"

#include "activations.h"
#include "lanes.h"

namespace scaling_search {
namespace {

// Calls body(AtOnce<n>, first) for [0, count), four at once as far as they go.
template <class Body>
INLINE void for_fours(int64_t count, const Body& body) {
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) body(AtOnce<4>{}, i);
  for (; i < count; ++i) body(AtOnce<1>{}, i);
}

void combine(const Combination& m, const float* weights, const float* rows, const float* start, float* out) {
  for_blocks(m.columns, [&](auto part, int64_t c) __attribute__((always_inline)) {
    for_fours(m.count, [&](auto at_once, int64_t first) __attribute__((always_inline)) {
      constexpr int kCount = decltype(at_once)::kRows;
      WideFloat sums[kCount];
#pragma GCC unroll 4
      for (int i = 0; i < kCount; ++i) sums[i] = start ? load(part, start + c) : WideFloat{};
      for (int64_t n = 0; n < m.depth; ++n) {
        const WideFloat values = load(part, rows + n * m.line + c);
        const float* by = weights + first * m.pitch + n * m.step;
#pragma GCC unroll 4
        for (int i = 0; i < kCount; ++i) sums[i] += values * by[i * m.pitch];
      }
#pragma GCC unroll 4
      for (int i = 0; i < kCount; ++i) store(part, out + (first + i) * m.line + c, sums[i]);
    });
  });
}

struct Hidden {
  int64_t count;
  const float* hidden;
  const float* dactive;
  float* out;

  template <Activation kActivation>
  void run() const {
    for_blocks(count, [&](auto part, int64_t n) __attribute__((always_inline)) {
      const WideFloat z = load(part, hidden + n);
      store(part, out + n,
            dactive ? activation_gradient<kActivation>(z, load(part, dactive + n)) : activate<kActivation>(z));
    });
  }
};

template <class T>
void forward(const Gate& g, int64_t images, const float* x, const float* squeeze, const float* squeeze_bias,
             const float* excite, const float* excite_bias, T* y, float* mean, float* hidden, float* gate,
             float* active) {
  const float share = 1.0f / static_cast<float>(g.pixels);
  const int64_t size = g.pixels * g.channels;
  for (int64_t i = 0; i < images; ++i) {
    sum_rows<1>(
        i * size, (i + 1) * size, g.channels,
        [&](auto part, int64_t at, int64_t, auto& values)
            __attribute__((always_inline)) { values[0] = load(part, x + at); },
        [&](int64_t first, int64_t count, const auto& sums) __attribute__((always_inline)) {
          for_blocks(count, [&](auto part, int64_t c) __attribute__((always_inline)) {
            store(part, mean + i * g.channels + first + c, load<WideFloat>(sums[0] + c) * share);
          });
        });
  }
  combine({images, g.channels, g.squeezed, g.squeezed, g.channels, 1}, mean, squeeze, squeeze_bias, hidden);
  with_activation(g.activation, Hidden{images * g.squeezed, hidden, nullptr, active});
  combine({images, g.squeezed, g.channels, g.channels, g.squeezed, 1}, active, excite, excite_bias, gate);
  for_blocks(images * g.channels, [&](auto part, int64_t n) __attribute__((always_inline)) {
    store(part, gate + n, sigmoid(load(part, gate + n)));
  });
  for (int64_t i = 0; i < images; ++i) {
    for (int64_t p = 0; p < g.pixels; ++p) {
      for_blocks(g.channels, [&](auto part, int64_t c) __attribute__((always_inline)) {
        const int64_t at = i * size + p * g.channels + c;
        store(part, y + at, load(part, x + at) * load(part, gate + i * g.channels + c));
      });
    }
  }
}

template <class T>
void dx(const Gate& g, int64_t images, const float* x, const T* dy, const float* hidden, const float* gate,
        const float* turned_squeeze, const float* turned_excite, T* dx, float* active, float* dhidden, float* dgate,
        float* dmean) {
  const int64_t size = g.pixels * g.channels;
  for (int64_t i = 0; i < images; ++i) {
    sum_rows<1>(
        i * size, (i + 1) * size, g.channels,
        [&](auto part, int64_t at, int64_t, auto& values)
            __attribute__((always_inline)) { values[0] = load(part, dy + at) * load(part, x + at); },
        [&](int64_t first, int64_t count, const auto& sums) __attribute__((always_inline)) {
          for_blocks(count, [&](auto part, int64_t c) __attribute__((always_inline)) {
            const int64_t at = i * g.channels + first + c;
            const WideFloat open = load(part, gate + at);
            store(part, dgate + at, load<WideFloat>(sums[0] + c) * open * (1.0f - open));
          });
        });
  }
  combine({images, g.channels, g.squeezed, g.squeezed, g.channels, 1}, dgate, turned_excite, nullptr, active);
  with_activation(g.activation, Hidden{images * g.squeezed, hidden, active, dhidden});
  with_activation(g.activation, Hidden{images * g.squeezed, hidden, nullptr, active});
  combine({images, g.squeezed, g.channels, g.channels, g.squeezed, 1}, dhidden, turned_squeeze, nullptr, dmean);
  const float share = 1.0f / static_cast<float>(g.pixels);
  for (int64_t i = 0; i < images; ++i) {
    for (int64_t p = 0; p < g.pixels; ++p) {
      for_blocks(g.channels, [&](auto part, int64_t c) __attribute__((always_inline)) {
        const int64_t at = i * size + p * g.channels + c, of_image = i * g.channels + c;
        store(part, dx + at, load(part, dy + at) * load(part, gate + of_image) + load(part, dmean + of_image) * share);
      });
    }
  }
}

template <class T>
constexpr SqueezeExciteKernelsOf<T> kKernels = {forward<T>, dx<T>, combine};

}  // namespace

const SqueezeExciteKernels SCALING_SEARCH_TABLE(SqueezeExciteKernels) = kKernels<float>;
const HalfSqueezeExciteKernels SCALING_SEARCH_TABLE(HalfSqueezeExciteKernels) = kKernels<Bfloat16>;

}  // namespace scaling_search
