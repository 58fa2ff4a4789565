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

// out[i * pitch] = start + the sum of a[i, :] * b, for rows i < count of a (count, columns).
INLINE void dots(int64_t count, int64_t columns, const float* a, const float* b, float start, float* out,
                 int64_t pitch) {
  for_fours(count, [&](auto at_once, int64_t first) __attribute__((always_inline)) {
    constexpr int kCount = decltype(at_once)::kRows;
    const float* rows = a + first * columns;
    WideFloat wide[kCount] = {};
    int64_t n = 0;
    for (; n + kLanes <= columns; n += kLanes) {
      const WideFloat values = load<WideFloat>(b + n);
#pragma GCC unroll 4
      for (int i = 0; i < kCount; ++i) wide[i] += load<WideFloat>(rows + i * columns + n) * values;
    }
    for (int i = 0; i < kCount; ++i) {
      float sum = 0;
      for (int64_t rest = n; rest < columns; ++rest) sum += rows[i * columns + rest] * b[rest];
      for (int lane = 0; lane < kLanes; ++lane) sum += wide[i][lane];
      out[(first + i) * pitch] = start + sum;
    }
  });
}

// In line in `dx`: called, a compiler rounds the products of single channels otherwise, and results keep the bits they
// had.
INLINE void combined(const Combination& m, const float* weights, const float* rows, const float* start, float* out) {
  for_blocks(m.columns, [&](auto zero, int64_t c) __attribute__((always_inline)) {
    using V = decltype(zero);
    for_fours(m.count, [&](auto at_once, int64_t first) __attribute__((always_inline)) {
      constexpr int kCount = decltype(at_once)::kRows;
      V sums[kCount];
#pragma GCC unroll 4
      for (int i = 0; i < kCount; ++i) sums[i] = start ? load<V>(start + c) : V{};
      for (int64_t n = 0; n < m.depth; ++n) {
        const V values = load<V>(rows + n * m.columns + c);
        const float* by = weights + first * m.pitch + n * m.step;
#pragma GCC unroll 4
        for (int i = 0; i < kCount; ++i) sums[i] += values * by[i * m.pitch];
      }
#pragma GCC unroll 4
      for (int i = 0; i < kCount; ++i) store<V>(out + (first + i) * m.columns + c, sums[i]);
    });
  });
}

void combine(const Combination& m, const float* weights, const float* rows, const float* start, float* out) {
  combined(m, weights, rows, start, out);
}

struct Hidden {
  int64_t count;
  const float* hidden;
  const float* dactive;
  float* out;

  template <Activation kActivation>
  void run() const {
    for (int64_t n = 0; n < count; ++n) {
      out[n] = dactive ? activation_gradient<float, kActivation>(hidden[n], dactive[n])
                       : activate<float, kActivation>(hidden[n]);
    }
  }
};

template <class T>
void forward(const Gate& g, int64_t images, const float* x, const float* squeeze, const float* squeeze_bias,
             const float* excite, const float* excite_bias, T* y, float* mean, float* hidden, float* gate,
             float* active) {
  const float share = 1.0f / static_cast<float>(g.pixels);
  const int64_t size = g.pixels * g.channels;
  memset(mean, 0, images * g.channels * sizeof(float));
  for (int64_t i = 0; i < images; ++i) {
    add_rows<1>(0, g.pixels, g.channels, mean + i * g.channels,
                [&](auto zero, int64_t p, int64_t c, auto& values) __attribute__((always_inline)) {
                  values[0] = load<decltype(zero)>(x + i * size + p * g.channels + c) * share;
                });
  }
  for (int64_t s = 0; s < g.squeezed; ++s) {
    dots(images, g.channels, mean, squeeze + s * g.channels, squeeze_bias[s], hidden + s, g.squeezed);
  }
  with_activation(g.activation, Hidden{images * g.squeezed, hidden, nullptr, active});
  combine({images, g.squeezed, g.channels, g.squeezed, 1}, active, excite, excite_bias, gate);
  for (int64_t i = 0; i < images; ++i) {
    for_blocks(g.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
      using V = decltype(zero);
      float* const at = gate + i * g.channels + c;
      V sum = load<V>(at);
      if (Traits<V>::kWidth == 1) {
        // A compiler rounds the products of single channels otherwise in `combine`: these keep the bits they had.
        sum = load<V>(excite_bias + c);
        const float* weights = active + i * g.squeezed;
        for (int64_t s = 0; s < g.squeezed; ++s) sum += load<V>(excite + s * g.channels + c) * weights[s];
      }
      store<V>(at, sigmoid<V>(sum));
    });
    for (int64_t p = 0; p < g.pixels; ++p) {
      for_blocks(g.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
        using V = decltype(zero);
        const int64_t at = i * size + p * g.channels + c;
        store<V>(y + at, load<V>(x + at) * load<V>(gate + i * g.channels + c));
      });
    }
  }
}

template <class T>
void dx(const Gate& g, int64_t images, const float* x, const T* dy, const float* hidden, const float* gate,
        const float* squeeze, const float* excite, T* dx, float* active, float* dhidden, float* dgate,
        float* dmean) {
  const int64_t size = g.pixels * g.channels;
  memset(dgate, 0, images * g.channels * sizeof(float));
  for (int64_t i = 0; i < images; ++i) {
    add_rows<1>(0, g.pixels, g.channels, dgate + i * g.channels,
                [&](auto zero, int64_t p, int64_t c, auto& values) __attribute__((always_inline)) {
                  const int64_t at = i * size + p * g.channels + c;
                  values[0] = load<decltype(zero)>(dy + at) * load<decltype(zero)>(x + at);
                });
  }
  for (int64_t n = 0; n < images * g.channels; ++n) dgate[n] = dgate[n] * gate[n] * (1.0f - gate[n]);
  for (int64_t s = 0; s < g.squeezed; ++s) {
    dots(images, g.channels, dgate, excite + s * g.channels, 0.0f, active + s, g.squeezed);
  }
  with_activation(g.activation, Hidden{images * g.squeezed, hidden, active, dhidden});
  with_activation(g.activation, Hidden{images * g.squeezed, hidden, nullptr, active});
  combined({images, g.squeezed, g.channels, g.squeezed, 1}, dhidden, squeeze, nullptr, dmean);
  const float share = 1.0f / static_cast<float>(g.pixels);
  for (int64_t i = 0; i < images; ++i) {
    for (int64_t p = 0; p < g.pixels; ++p) {
      for_blocks(g.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
        using V = decltype(zero);
        const int64_t at = i * size + p * g.channels + c, of_image = i * g.channels + c;
        store<V>(dx + at, load<V>(dy + at) * load<V>(gate + of_image) + load<V>(dmean + of_image) * share);
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
