// Batch norm with its activation, compiled once for each instruction set (see batch_norm.h and setup.py).
#include "batch_norm.h"

#include "activations.h"
#include "lanes.h"

namespace scaling_search {
namespace {

// Lines whose sums are floats before they join the double ones: few where a line's sums take several turns, so that
// the lines stay in the cache.
INLINE int64_t lines_at_once(int64_t line) { return line > kSumsAtOnce ? 8 : 64; }

// Adds to two sums a channel, the first ones and then the second ones, what terms(part, at, c, values) sets for the
// elements from `at`, with c their place in a line.
template <class Terms>
INLINE void double_sums(const Rows& r, double* sums, const Terms& terms) {
  const int64_t end = r.end * r.channels, step = lines_at_once(r.line) * r.line;
  for (int64_t begin = r.begin * r.channels; begin < end; begin += step) {
    sum_rows<2>(begin, smaller(begin + step, end), r.line, terms,
                [&](int64_t first, int64_t count, const auto& partial) __attribute__((always_inline)) {
                  // Those of a line that is several rows come all at once.
                  static_assert(kLongestLine <= kSumsAtOnce, "so that they do");
                  for (int64_t from = 0; from < count; from += r.channels) {
                    const int64_t channels = smaller(r.channels, count - from);
                    for (int64_t c = 0; c < channels; ++c) sums[first + c] += partial[0][from + c];
                    for (int64_t c = 0; c < channels; ++c) sums[r.channels + first + c] += partial[1][from + c];
                  }
                });
  }
}

template <class T>
void moments(const Rows& r, const T* x, double* sums) {
  double_sums(r, sums, [&](auto part, int64_t at, int64_t, auto& values) __attribute__((always_inline)) {
    fetch_ahead(x + at);
    values[0] = load(part, x + at);
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
    for_elements(
        r.begin * r.channels, r.end * r.channels, r.line,
        [&](auto part, int64_t at, int64_t c) __attribute__((always_inline)) {
      if (kActivation == Activation::kSilu) fetch_ahead(x + at);
      const WideFloat z = load(part, x + at) * load(part, factor + c) + load(part, offset + c);
      store(part, y + at, activate<kActivation>(z));
    });
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
  const T* beside;

  template <Activation kActivation>
  void run() const {
    for_elements(
        r.begin * r.channels, r.end * r.channels, r.line,
        [&](auto part, int64_t at, int64_t c) __attribute__((always_inline)) {
      fetch_ahead(x + at);
      fetch(beside + at);
      const WideFloat z = load(part, x + at) * load(part, factor + c) + load(part, offset + c);
      store(part, y + at, activate<kActivation>(z));
      store(part, slope + at, activation_gradient<kActivation>(z, broadcast(1.0f)));
    });
  }
};

template <class T>
void normalise_with_slope(const Rows& r, Activation activation, const T* x, const float* factor, const float* offset,
                          float* y, float* slope, const T* beside) {
  with_activation(activation, NormaliseWithSlope<T>{r, x, factor, offset, y, slope, beside});
}

template <class T>
void apply_slope(const Rows& r, const float* slope, const T* x, T* d, double* sums) {
  if (!slope) {
    return double_sums(r, sums, [&](auto part, int64_t at, int64_t, auto& values) __attribute__((always_inline)) {
      values[0] = load(part, d + at);
      values[1] = values[0] * load(part, x + at);
    });
  }
  double_sums(r, sums, [&](auto part, int64_t at, int64_t, auto& values) __attribute__((always_inline)) {
    values[0] = sloped(load(part, d + at), load(part, slope + at));
    values[1] = values[0] * load(part, x + at);
    store(part, d + at, values[0]);
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
    double_sums(r, sums, [&](auto part, int64_t at, int64_t c, auto& values) __attribute__((always_inline)) {
      const WideFloat value = load(part, x + at), z = value * load(part, factor + c) + load(part, offset + c);
      values[0] = activation_gradient<kActivation>(z, load(part, dy + at));
      values[1] = values[0] * value;
      if (kActivation != Activation::kNone) store(part, dz + at, values[0]);
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
  for_elements(
        r.begin * r.channels, r.end * r.channels, r.line,
        [&](auto part, int64_t at, int64_t c) __attribute__((always_inline)) {
    fetch_ahead(x + at);
    fetch_ahead(dz + at);
    const WideFloat linear = load(part, x + at) * load(part, slope + c) + load(part, constant + c);
    store(part, dx + at, load(part, dz + at) * load(part, factor + c) + linear);
  });
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
