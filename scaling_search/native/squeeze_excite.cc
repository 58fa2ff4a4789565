// Squeeze-and-excitation, compiled once for each instruction set (see squeeze_excite.h and setup.py).
#include "squeeze_excite.h"

#include "activations.h"
#include "lanes.h"

namespace scaling_search {
namespace {

// Calls body(AtOnce<n>, first) for [0, count), eight at once as far as they go, and four.
template <class Body>
INLINE void for_eights(int64_t count, const Body& body) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) body(AtOnce<8>{}, i);
  for (; i + 4 <= count; i += 4) body(AtOnce<4>{}, i);
  for (; i < count; ++i) body(AtOnce<1>{}, i);
}

void combine(const Combination& m, const float* weights, const float* rows, const float* start, float* out) {
  for_blocks(m.columns, [&](auto part, int64_t c) __attribute__((always_inline)) {
    for_eights(m.count, [&](auto at_once, int64_t first) __attribute__((always_inline)) {
      constexpr int kCount = decltype(at_once)::kRows;
      WideFloat sums[kCount];
#pragma GCC unroll 8
      for (int i = 0; i < kCount; ++i) sums[i] = start ? load(part, start + c) : WideFloat{};
      for (int64_t n = 0; n < m.depth; ++n) {
        const WideFloat values = load(part, rows + n * m.line + c);
        const float* by = weights + first * m.pitch + n * m.step;
#pragma GCC unroll 8
        for (int i = 0; i < kCount; ++i) sums[i] += values * by[i * m.pitch];
      }
#pragma GCC unroll 8
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

// take(part, at, sum) for the channels of each image, of what term(part, at, c) is for the elements from `at`, with c
// their place in a line.
template <class Term, class Take>
INLINE void sum_pixels(const Gate& g, int64_t images, int64_t line, const Term& term, const Take& take) {
  const int64_t size = g.pixels * g.channels;
  for (int64_t i = 0; i < images; ++i) {
    sum_rows<1>(
        i * size, (i + 1) * size, line,
        [&](auto part, int64_t at, int64_t c, auto& values)
            __attribute__((always_inline)) { values[0] = term(part, at, c); },
        [&](int64_t first, int64_t count, const auto& sums) __attribute__((always_inline)) {
          for_blocks(smaller(count, g.channels), [&](auto part, int64_t c) __attribute__((always_inline)) {
            WideFloat sum = load<WideFloat>(sums[0] + c);
            // Of a line that is several rows.
            for (int64_t from = g.channels; from < count; from += g.channels) sum += load(part, sums[0] + from + c);
            take(part, i * g.channels + first + c, sum);
          });
        });
  }
}

void squeeze(const Gate& g, int64_t images, const float* x, float* mean) {
  const float share = 1.0f / static_cast<float>(g.pixels);
  sum_pixels(
      g, images, g.channels,
      [&](auto part, int64_t at, int64_t) __attribute__((always_inline)) { return load(part, x + at); },
      [&](auto part, int64_t at, WideFloat sum)
          __attribute__((always_inline)) { store(part, mean + at, sum * share); });
}

template <class T>
struct SqueezeNormed {
  const Gate& g;
  const Normed& norm;
  int64_t images;
  const T* x;
  float *active, *mean;

  template <Activation kActivation>
  void run() const {
    const float share = 1.0f / static_cast<float>(g.pixels);
    sum_pixels(
        g, images, norm.line,
        [*this](auto part, int64_t at, int64_t c) __attribute__((always_inline)) {
          fetch_ahead(x + at);
          fetch_ahead(active + at);
          const WideFloat z = load(part, x + at) * load(part, norm.factor + c) + load(part, norm.offset + c);
          const WideFloat value = activate<kActivation>(z);
          store(part, active + at, value);
          return value;
        },
        [&](auto part, int64_t at, WideFloat sum)
            __attribute__((always_inline)) { store(part, mean + at, sum * share); });
  }
};

template <class T>
void squeeze_normed(const Gate& g, const Normed& norm, int64_t images, const T* x, float* active, float* mean) {
  with_activation(norm.activation, SqueezeNormed<T>{g, norm, images, x, active, mean});
}

template <class T>
void forward(const Gate& g, int64_t images, const float* x, const float* mean, const float* squeeze,
             const float* squeeze_bias, const float* excite, const float* excite_bias, T* y, float* hidden, float* gate,
             float* active) {
  combine({images, g.channels, g.squeezed, g.squeezed, g.channels, 1}, mean, squeeze, squeeze_bias, hidden);
  with_activation(g.activation, Hidden{images * g.squeezed, hidden, nullptr, active});
  combine({images, g.squeezed, g.channels, g.channels, g.squeezed, 1}, active, excite, excite_bias, gate);
  for_blocks(images * g.channels, [&](auto part, int64_t n) __attribute__((always_inline)) {
    store(part, gate + n, sigmoid(load(part, gate + n)));
  });
  const int64_t size = g.pixels * g.channels;
  for (int64_t i = 0; i < images; ++i) {
    for (int64_t p = 0; p < g.pixels; ++p) {
      for_blocks(g.channels, [&](auto part, int64_t c) __attribute__((always_inline)) {
        const int64_t at = i * size + p * g.channels + c;
        store(part, y + at, load(part, x + at) * load(part, gate + i * g.channels + c));
      });
    }
  }
}

// A gate's gradient before the sigmoid from that behind it.
template <class Part>
INLINE void store_dgate(Part part, float* dgate, const float* gate, WideFloat gradient) {
  const WideFloat open = load(part, gate);
  store(part, dgate, gradient * open * (1.0f - open));
}

template <class T>
void dgate(const Gate& g, int64_t images, const float* x, const T* dy, const float* gate, float* dgate) {
  sum_pixels(
      g, images, g.channels,
      [&](auto part, int64_t at, int64_t)
          __attribute__((always_inline)) { return load(part, dy + at) * load(part, x + at); },
      [&](auto part, int64_t at, WideFloat sum)
          __attribute__((always_inline)) { store_dgate(part, dgate + at, gate + at, sum); });
}

template <class T>
struct DgateNormed {
  const Gate& g;
  const Normed& norm;
  int64_t images;
  const T *x, *dy;
  const float* gate;
  float *slope, *dgate;

  template <Activation kActivation>
  void run() const {
    sum_pixels(
        g, images, norm.line,
        [*this](auto part, int64_t at, int64_t c) __attribute__((always_inline)) {
          fetch_ahead(x + at);
          fetch_ahead(dy + at);
          const WideFloat z = load(part, x + at) * load(part, norm.factor + c) + load(part, norm.offset + c);
          store(part, slope + at, activation_gradient<kActivation>(z, broadcast(1.0f)));
          return load(part, dy + at) * activate<kActivation>(z);
        },
        [&](auto part, int64_t at, WideFloat sum)
            __attribute__((always_inline)) { store_dgate(part, dgate + at, gate + at, sum); });
  }
};

template <class T>
void dgate_normed(const Gate& g, const Normed& norm, int64_t images, const T* x, const T* dy, const float* gate,
                  float* slope, float* dgate) {
  with_activation(norm.activation, DgateNormed<T>{g, norm, images, x, dy, gate, slope, dgate});
}

void dlayers(const Gate& g, int64_t images, const float* hidden, const float* turned_squeeze,
             const float* turned_excite, const float* dgate, float* active, float* dhidden, float* dpixel) {
  combine({images, g.channels, g.squeezed, g.squeezed, g.channels, 1}, dgate, turned_excite, nullptr, active);
  with_activation(g.activation, Hidden{images * g.squeezed, hidden, active, dhidden});
  with_activation(g.activation, Hidden{images * g.squeezed, hidden, nullptr, active});
  combine({images, g.squeezed, g.channels, g.channels, g.squeezed, 1}, dhidden, turned_squeeze, nullptr, dpixel);
  const float share = 1.0f / static_cast<float>(g.pixels);
  for_blocks(images * g.channels, [&](auto part, int64_t n) __attribute__((always_inline)) {
    store(part, dpixel + n, load(part, dpixel + n) * share);
  });
}

template <class T>
void dx(const Gate& g, int64_t images, const T* dy, const float* gate, const float* dpixel, T* dx) {
  const int64_t size = g.pixels * g.channels;
  for (int64_t i = 0; i < images; ++i) {
    for (int64_t p = 0; p < g.pixels; ++p) {
      for_blocks(g.channels, [&](auto part, int64_t c) __attribute__((always_inline)) {
        const int64_t at = i * size + p * g.channels + c, of_image = i * g.channels + c;
        store(part, dx + at, load(part, dy + at) * load(part, gate + of_image) + load(part, dpixel + of_image));
      });
    }
  }
}

constexpr int64_t kPixelsAtOnce = 64;  // Whose sums are floats before they join the double ones.

template <class T>
void dz(const Gate& g, int64_t images, const T* x, const T* dy, const float* gate, const float* dpixel,
        const float* slope, T* dz, double* sums) {
  ColumnSums<2> partial;
  for (int64_t first = 0; first < g.channels; first += kSumsAtOnce) {
    const int64_t count = smaller(kSumsAtOnce, g.channels - first);
    partial.clear_first(count);
    const int64_t pixels = images * g.pixels;
    int64_t held = 0;
    for (int64_t p = 0; p < pixels;) {
      const int64_t image = p / g.pixels, end = smaller(p + kPixelsAtOnce - held, (image + 1) * g.pixels);
      const float *by = gate + image * g.channels, *more = dpixel + image * g.channels;
      add_rows(p * g.channels, end * g.channels, g.channels, first, count, partial,
               [&](auto part, int64_t at, int64_t c, auto& values) __attribute__((always_inline)) {
                 const WideFloat before = load(part, dy + at) * load(part, by + c) + load(part, more + c);
                 fetch_ahead(dz + at);
                 values[0] = sloped(before, load(part, slope + at));
                 values[1] = values[0] * load(part, x + at);
                 store(part, dz + at, values[0]);
               });
      held += end - p;
      p = end;
      if (held < kPixelsAtOnce && p < pixels) continue;
      for (int64_t c = 0; c < count; ++c) sums[first + c] += partial.of[0][c];
      for (int64_t c = 0; c < count; ++c) sums[g.channels + first + c] += partial.of[1][c];
      partial.clear_first(count);
      held = 0;
    }
  }
}

template <class T>
constexpr SqueezeExciteKernelsOf<T> kKernels = {squeeze, squeeze_normed<T>, forward<T>, dgate<T>, dgate_normed<T>,
                                                dlayers, dx<T>,             dz<T>,      combine};

}  // namespace

const SqueezeExciteKernels SCALING_SEARCH_TABLE(SqueezeExciteKernels) = kKernels<float>;
const HalfSqueezeExciteKernels SCALING_SEARCH_TABLE(HalfSqueezeExciteKernels) = kKernels<Bfloat16>;

}  // namespace scaling_search
