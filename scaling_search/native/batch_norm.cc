// Batch norm with its activation, compiled once for each instruction set (see batch_norm.h and setup.py).
#include "batch_norm.h"

#include "activations.h"
#include "lanes.h"

namespace scaling_search {
namespace {

// Rows whose sums stay in float registers before they join the double ones: few enough to stay in the cache.
INLINE int64_t rows_at_once(int64_t channels) { return larger(8, smaller(128, 8192 / channels)); }

// Channels whose float sums are kept at a time.
constexpr int64_t kPanel = 1024;

// sums = two sums a channel over the rows, the first ones and then the second ones, of what terms(zero, at, c, values)
// sets: `zero` tells the block's type, `at` is its place.
template <class Terms>
INLINE void sum_rows(const Rows& r, double* sums, const Terms& terms) {
  memset(sums, 0, 2 * r.channels * sizeof(double));
  const int64_t step = rows_at_once(r.channels);
  float partial[2 * kPanel];
  for (int64_t begin = r.begin; begin < r.end; begin += step) {
    for (int64_t first = 0; first < r.channels; first += kPanel) {
      const int64_t channels = smaller(kPanel, r.channels - first);
      memset(partial, 0, 2 * channels * sizeof(float));
      add_rows<2>(begin, smaller(begin + step, r.end), channels, partial,
                  [&](auto zero, int64_t row, int64_t c, auto& values)
                      __attribute__((always_inline)) { terms(zero, row * r.channels + first + c, first + c, values); });
      for (int64_t c = 0; c < channels; ++c) {
        sums[first + c] += partial[c];
        sums[r.channels + first + c] += partial[channels + c];
      }
    }
  }
}

template <class T>
void moments(const Rows& r, const T* x, double* sums) {
  sum_rows(r, sums, [&](auto zero, int64_t at, int64_t, auto& values) __attribute__((always_inline)) {
    values[0] = load<decltype(zero)>(x + at);
    values[1] = values[0] * values[0];
  });
}

template <class T, class To>
struct Normalise {
  const Rows& r;
  const T* x;
  const float *factor, *offset;
  To* y;

  template <Activation kActivation>
  void run() const {
    for (int64_t row = r.begin; row < r.end; ++row) {
      const T* in = x + row * r.channels;
      To* out = y + row * r.channels;
      for_blocks(r.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
        using V = decltype(zero);
        store<V>(out + c, activate<V, kActivation>(load<V>(in + c) * load<V>(factor + c) + load<V>(offset + c)));
      });
    }
  }
};

template <class T, class To>
void normalise(const Rows& r, Activation activation, const T* x, const float* factor, const float* offset, To* y) {
  with_activation(activation, Normalise<T, To>{r, x, factor, offset, y});
}

template <class T>
struct NormaliseWithSlope {
  const Rows& r;
  const T* x;
  const float *factor, *offset;
  float *y, *slope;

  template <Activation kActivation>
  void run() const {
    for (int64_t row = r.begin; row < r.end; ++row) {
      for_blocks(r.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
        using V = decltype(zero);
        const int64_t at = row * r.channels + c;
        const V z = load<V>(x + at) * load<V>(factor + c) + load<V>(offset + c);
        store<V>(y + at, activate<V, kActivation>(z));
        store<V>(slope + at, activation_gradient<V, kActivation>(z, broadcast<V>(1.0f)));
      });
    }
  }
};

template <class T>
void normalise_with_slope(const Rows& r, Activation activation, const T* x, const float* factor, const float* offset,
                          float* y, float* slope) {
  with_activation(activation, NormaliseWithSlope<T>{r, x, factor, offset, y, slope});
}

template <class T>
void apply_slope(int64_t count, const float* slope, T* d) {
  for_blocks(count, [&](auto zero, int64_t n) __attribute__((always_inline)) {
    using V = decltype(zero);
    const V by = load<V>(slope + n);
    store<V>(d + n, by == V{} ? V{} : load<V>(d + n) * by);
  });
}

template <class T>
struct GradientMoments {
  const Rows& r;
  const T *x, *dy;
  const float *factor, *offset;
  T* dz;
  double* sums;

  template <Activation kActivation>
  void run() const {
    sum_rows(r, sums, [&](auto zero, int64_t at, int64_t c, auto& values) __attribute__((always_inline)) {
      using V = decltype(zero);
      const V value = load<V>(x + at), z = value * load<V>(factor + c) + load<V>(offset + c);
      values[0] = activation_gradient<V, kActivation>(z, load<V>(dy + at));
      values[1] = values[0] * value;
      if (kActivation != Activation::kNone) store<V>(dz + at, values[0]);
    });
  }
};

template <class T>
void gradient_moments(const Rows& r, Activation activation, const T* x, const T* dy, const float* factor,
                      const float* offset, T* dz, double* sums) {
  with_activation(activation, GradientMoments<T>{r, x, dy, factor, offset, dz, sums});
}

template <class T>
void normalise_dx(const Rows& r, const T* x, const T* dz, const float* factor, const float* slope,
                  const float* constant, T* dx) {
  for (int64_t row = r.begin; row < r.end; ++row) {
    const int64_t at = row * r.channels;
    for_blocks(r.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
      using V = decltype(zero);
      const V linear = load<V>(x + at + c) * load<V>(slope + c) + load<V>(constant + c);
      store<V>(dx + at + c, load<V>(dz + at + c) * load<V>(factor + c) + linear);
    });
  }
}

template <class T>
constexpr BatchNormKernelsOf<T> kKernels = {moments<T>, normalise<T, T>, gradient_moments<T>, normalise_dx<T>};
template <class T>
constexpr JoinedKernelsOf<T> kJoined = {normalise<T, float>, normalise_with_slope<T>, apply_slope<T>};

}  // namespace

const BatchNormKernels SCALING_SEARCH_TABLE(BatchNormKernels) = kKernels<float>;
const HalfBatchNormKernels SCALING_SEARCH_TABLE(HalfBatchNormKernels) = kKernels<Bfloat16>;
const JoinedKernels SCALING_SEARCH_TABLE(JoinedKernels) = kJoined<float>;
const HalfJoinedKernels SCALING_SEARCH_TABLE(HalfJoinedKernels) = kJoined<Bfloat16>;

}  // namespace scaling_search
