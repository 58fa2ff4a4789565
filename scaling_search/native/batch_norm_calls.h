// What calls with a batch norm have in common: the check of shapes, the split into items and sums over these.
#ifndef SCALING_SEARCH_NATIVE_BATCH_NORM_CALLS_H_
#define SCALING_SEARCH_NATIVE_BATCH_NORM_CALLS_H_

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "batch_norm.h"
#include "parallel.h"
#include "shapes.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {

inline bool is_known(Activation activation) {
  return activation >= Activation::kNone && activation <= Activation::kSilu;
}

constexpr int64_t kMostLanes = 16;  // Of a register, whatever the instructions.

// As many rows as fill whole registers, where that is not too long.
inline int64_t line_of(int64_t channels) {
  const int64_t line = channels / std::gcd(channels, kMostLanes) * kMostLanes;
  return line <= kLongestLine ? line : channels;
}

// A matrix of rows split into items, which begin where a cache's line does.
struct Matrix {
  int64_t rows, channels, items, line;

  Rows item(int64_t i) const { return {start(i), i + 1 == items ? rows : start(i + 1), channels, line}; }
  Rows all_of(int64_t count) const { return {0, count, channels, line}; }

 private:
  int64_t start(int64_t i) const { return rows / kMostLanes * i / items * kMostLanes; }
};

// A vector of channels, repeated for a line.
inline std::vector<float> repeated(std::vector<float> vector, int64_t line) {
  int64_t filled = static_cast<int64_t>(vector.size());
  vector.resize(line);
  for (; filled < line; filled *= 2) {
    std::copy_n(vector.begin(), std::min(filled, line - filled), vector.begin() + filled);
  }
  return vector;
}

template <class Images>
Matrix matrix_of(ShapeCheck& check, const Images& x, Activation activation) {
  const Shape shape = shape_of(x);
  check.require(is_known(activation), "the activation has no such number");
  check.require(!shape.empty() && shape.back() > 0 && x.element_count() > 0, "x has no elements");
  if (check.failed()) return {};
  const int64_t channels = shape.back(), count = static_cast<int64_t>(x.element_count());
  const int64_t items = std::min<int64_t>({count / channels, quotient_up(count, kItemFloats), 64});
  return {count / channels, channels, items, line_of(channels)};
}

// How XLA calls what has a batch norm: `binding` says the arrays.
template <class Binding>
auto with_norm(Binding binding) {
  return std::move(binding).template Attr<float>("epsilon").template Attr<Activation>("activation");
}

// A batch norm's own arrays; statistics are given to a call, or made by it.
template <class Statistic>
void expect_norm(ShapeCheck& check, const Matrix& m, const Array& scale, const Array& bias, Statistic& mean,
                 Statistic& variance) {
  const Shape vector{m.channels};
  check.expect("scale", scale, vector).expect("bias", bias, vector);
  check.expect("mean", mean, vector).expect("variance", variance, vector);
}

template <class Images, class Gradients>
void expect_norm_gradients(ShapeCheck& check, const Matrix& m, const Images& x, Gradients& dx, Result& dscale,
                           Result& dbias) {
  const Shape vector{m.channels};
  check.expect("dx", dx, shape_of(x)).expect("dscale", dscale, vector).expect("dbias", dbias, vector);
}

// Two double sums a channel for each of `parts`, (parts, 2, channels), added in their order.
inline std::vector<double> added(int64_t parts, std::vector<double> partial) {
  const int64_t size = static_cast<int64_t>(partial.size()) / parts;
  for (int64_t i = 1; i < parts; ++i) {
    for (int64_t c = 0; c < size; ++c) partial[c] += partial[i * size + c];
  }
  partial.resize(size);
  return partial;
}

// The same of what body(item, sums) adds for each.
template <class Body>
std::vector<double> sums_of(ffi::ThreadPool& threads, const Matrix& m, const Body& body) {
  std::vector<double> partial(m.items * 2 * m.channels);
  parallel_for(threads, m.items, [&](int64_t i) { body(m.item(i), partial.data() + i * 2 * m.channels); });
  return added(m.items, std::move(partial));
}

// Mean and variance (channels,) of x.
template <class T>
void find_statistics(ffi::ThreadPool& threads, const Matrix& m, const T* x, float* mean, float* variance) {
  const std::vector<double> sums =
      sums_of(threads, m, [&](const Rows& rows, double* out) { batch_norm_kernels<T>().moments(rows, x, out); });
  for (int64_t c = 0; c < m.channels; ++c) {
    const double average = sums[c] / m.rows, square = sums[m.channels + c] / m.rows - average * average;
    mean[c] = static_cast<float>(average);
    variance[c] = static_cast<float>(square < 0 ? 0 : square);  // Not std::max, which hides a NaN.
  }
}

// What normalises: y = activation(x * factor + offset).
struct Affine {
  std::vector<float> inverse;         // One over the standard deviation.
  std::vector<float> factor, offset;  // Repeated for a line.
};

inline Affine affine_of(const Matrix& m, const Array& scale, const Array& bias, const float* mean,
                        const float* variance, float epsilon) {
  Affine a{std::vector<float>(m.channels), std::vector<float>(m.channels), std::vector<float>(m.channels)};
  for (int64_t c = 0; c < m.channels; ++c) {
    a.inverse[c] = 1 / std::sqrt(variance[c] + epsilon);
    a.factor[c] = scale.typed_data()[c] * a.inverse[c];
    a.offset[c] = bias.typed_data()[c] - mean[c] * a.factor[c];
  }
  a.factor = repeated(std::move(a.factor), m.line);
  a.offset = repeated(std::move(a.offset), m.line);
  return a;
}

// dx, dscale and dbias from dz, what is in front of the activation, and its sums (sum of dz, sum of dz * x). dz may lie
// where dx will.
template <class T>
void finish_gradient(ffi::ThreadPool& threads, const Matrix& m, const Affine& affine, const T* x, const Array& mean,
                     const T* dz, const std::vector<double>& sums, T* dx, Result& dscale, Result& dbias) {
  // dx = factor * (dz - dbias / n - (x - mean) * inverse * dscale / n), gathered by powers of x.
  std::vector<float> slope(m.channels), constant(m.channels);
  for (int64_t c = 0; c < m.channels; ++c) {
    const double average = mean.typed_data()[c], factor = affine.factor[c], inverse = affine.inverse[c];
    const double gradient = (sums[m.channels + c] - average * sums[c]) * inverse;
    const double by_x = -factor * inverse * gradient / m.rows;
    dscale->typed_data()[c] = static_cast<float>(gradient);
    dbias->typed_data()[c] = static_cast<float>(sums[c]);
    slope[c] = static_cast<float>(by_x);
    constant[c] = static_cast<float>(-factor * sums[c] / m.rows - by_x * average);
  }
  slope = repeated(std::move(slope), m.line);
  constant = repeated(std::move(constant), m.line);
  parallel_for(threads, m.items, [&](int64_t i) {
    batch_norm_kernels<T>().normalise_dx(m.item(i), x, dz, affine.factor.data(), slope.data(), constant.data(), dx);
  });
}

}  // namespace scaling_search

XLA_FFI_REGISTER_ENUM_ATTR_DECODING(scaling_search::Activation);

#endif  // SCALING_SEARCH_NATIVE_BATCH_NORM_CALLS_H_
