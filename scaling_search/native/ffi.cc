// What XLA calls: checks of shapes, the split into items for XLA's threads, and the choice of instruction set.
//
// How work is split depends on shapes alone, and partial sums are added in the order of the items, so a result is the
// same to the last bit however many threads there are and whoever comes first.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "dense.h"
#include "grouped.h"
#include "kernels.h"
#include "parallel.h"
#include "shapes.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {

// The choice among what was compiled for each instruction set: what the CPU has, and the widest.
#if defined(__x86_64__)
#define SCALING_SEARCH_WIDEST(name)                                                                      \
  (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&                            \
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")                      \
       ? kAvx512##name                                                                                   \
   : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? kAvx2##name                       \
                                                                     : kDefault##name)
#else
#define SCALING_SEARCH_WIDEST(name) kDefault##name
#endif

const Kernels& kernels() {
  static const Kernels& chosen = SCALING_SEARCH_WIDEST(Kernels);
  return chosen;
}

const DenseKernels& dense_kernels() {
  static const DenseKernels& chosen = SCALING_SEARCH_WIDEST(DenseKernels);
  return chosen;
}

const GroupedKernels& grouped_kernels() {
  static const GroupedKernels& chosen = SCALING_SEARCH_WIDEST(GroupedKernels);
  return chosen;
}

namespace {

constexpr int64_t kItemFloats = 1 << 14;  // 64 KiB: a share of work that stays in a core's own cache.

bool is_known(Activation activation) { return activation >= Activation::kNone && activation <= Activation::kSilu; }

// ------------------------------------------------------------------------------------------------ depthwise

// The bands that cover `images` of `height` rows each, every band about `kItemFloats` of work.
std::vector<Band> bands(int64_t images, int64_t height, int64_t floats_per_row) {
  std::vector<Band> all;
  const int64_t rows = std::max<int64_t>(4, kItemFloats / std::max<int64_t>(floats_per_row, 1));
  if (rows < height) {
    const int64_t per_band = quotient_up(height, quotient_up(height, rows));
    for (int64_t image = 0; image < images; ++image) {
      for (int64_t row = 0; row < height; row += per_band) {
        all.push_back({image, image + 1, row, std::min(row + per_band, height)});
      }
    }
  } else if (height > 0) {
    const int64_t per_band = rows / height;
    for (int64_t image = 0; image < images; image += per_band) {
      all.push_back({image, std::min(image + per_band, images), 0, height});
    }
  }
  return all;
}

struct Depthwise {
  int64_t images;
  Window window;

  Shape input() const { return {images, window.height, window.width, window.channels}; }
  Shape output() const { return {images, window.out_height, window.out_width, window.channels}; }
  Shape kernel() const { return {window.rows, window.columns, 1, window.channels}; }
  int64_t floats_per_output_row() const {
    return (window.stride * window.width + window.out_width) * window.channels;
  }
};

Depthwise depthwise_of(ShapeCheck& check, const Array& x, const Array& kernel, const Shape& out, int64_t stride,
                       int64_t top, int64_t left) {
  const Shape in = shape_of(x), taps = shape_of(kernel);
  check.require(in.size() == 4 && taps.size() == 4 && out.size() == 4, "arrays must have four dimensions");
  check.require(stride >= 1, "stride must be at least 1");
  if (check.failed()) return {};
  const Depthwise d{in[0], {in[1], in[2], in[3], out[1], out[2], taps[0], taps[1], stride, top, left}};
  check.expect("kernel", taps, d.kernel()).expect("output", out, d.output());
  return d;
}

ffi::Error depthwise_call(ffi::ThreadPool threads, Array x, Array kernel, Result y, int64_t stride, int64_t top,
                          int64_t left) {
  ShapeCheck check("depthwise convolution");
  const Depthwise d = depthwise_of(check, x, kernel, shape_of(*y), stride, top, left);
  if (check.failed()) return check.error();
  const std::vector<Band> all = bands(d.images, d.window.out_height, d.floats_per_output_row());
  parallel_for(threads, all.size(), [&](int64_t i) {
    kernels().depthwise(d.window, all[i], x.typed_data(), kernel.typed_data(), y->typed_data());
  });
  return ffi::Error::Success();
}

// The kernel's taps in the order in which depthwise_dx wants them: by phase of rows, then of columns, each reversed.
std::vector<float> split_by_phase(const Window& w, const float* kernel) {
  std::vector<float> phases;
  phases.reserve(w.rows * w.columns * w.channels);
  for (int64_t p = 0; p < w.stride; ++p) {
    const Phase down = phase_taps(p, w.top, w.stride, w.rows);
    for (int64_t q = 0; q < w.stride; ++q) {
      const Phase across = phase_taps(q, w.left, w.stride, w.columns);
      for (int64_t i = down.count - 1; i >= 0; --i) {
        for (int64_t j = across.count - 1; j >= 0; --j) {
          const int64_t tap = (down.first + i * w.stride) * w.columns + across.first + j * w.stride;
          phases.insert(phases.end(), kernel + tap * w.channels, kernel + (tap + 1) * w.channels);
        }
      }
    }
  }
  return phases;
}

ffi::Error depthwise_gradient_call(ffi::ThreadPool threads, Array x, Array kernel, Array dy, Result dx, Result dkernel,
                                   int64_t stride, int64_t top, int64_t left) {
  ShapeCheck check("gradient of depthwise convolution");
  const Depthwise d = depthwise_of(check, x, kernel, shape_of(dy), stride, top, left);
  check.expect("dx", dx, d.input()).expect("dkernel", dkernel, d.kernel());
  if (check.failed()) return check.error();
  const Window& w = d.window;

  const std::vector<float> phases = split_by_phase(w, kernel.typed_data());
  const std::vector<Band> in = bands(d.images, w.height, (w.width + quotient_up(w.out_width, w.stride)) * w.channels);
  const std::vector<Band> out = bands(d.images, w.out_height, d.floats_per_output_row());
  // A share's sums cost as much as a few dozen pixels.
  const int64_t pixels = d.images * w.out_height * w.out_width, most = static_cast<int64_t>(out.size());
  const int64_t shares = std::max<int64_t>(1, std::min({most, pixels / 32, int64_t{16}}));
  const int64_t floats = w.rows * w.columns * w.channels, inputs = static_cast<int64_t>(in.size());
  std::vector<float> partial(shares * floats);
  parallel_for(threads, shares, [&](int64_t i) {
    // A share's part of dx beside its part of dkernel, as both read about the same rows of dy.
    int64_t band = inputs * i / shares;
    for (int64_t b = most * i / shares; b < most * (i + 1) / shares; ++b) {
      kernels().depthwise_dkernel(w, out[b], x.typed_data(), dy.typed_data(), partial.data() + i * floats);
      const int64_t last = inputs * (b + 1) / most;
      for (; band < last; ++band) {
        kernels().depthwise_dx(w, in[band], phases.data(), dy.typed_data(), dx->typed_data());
      }
    }
    for (; band < inputs * (i + 1) / shares; ++band) {
      kernels().depthwise_dx(w, in[band], phases.data(), dy.typed_data(), dx->typed_data());
    }
  });
  const float one = 1;
  kernels().weighted_sum(shares, floats, &one, 0, partial.data(), dkernel->typed_data());
  return ffi::Error::Success();
}

// ------------------------------------------------------------------------------------------------ batch norm

// A matrix of rows split into items.
struct Matrix {
  int64_t rows, channels, items;

  Rows item(int64_t i) const { return {rows * i / items, rows * (i + 1) / items, channels}; }
};

Matrix matrix_of(ShapeCheck& check, const Array& x, Activation activation) {
  const Shape shape = shape_of(x);
  check.require(is_known(activation), "the activation has no such number");
  check.require(!shape.empty() && shape.back() > 0 && x.element_count() > 0, "x has no elements");
  if (check.failed()) return {};
  const int64_t channels = shape.back(), count = static_cast<int64_t>(x.element_count());
  const int64_t items = std::min<int64_t>({count / channels, quotient_up(count, kItemFloats), 64});
  return {count / channels, channels, items};
}

// Adds two double sums (channels,) from each item, in order.
template <class Body>
std::vector<double> sums_of(ffi::ThreadPool& threads, const Matrix& m, const Body& body) {
  const int64_t size = 2 * m.channels;
  std::vector<double> partial(m.items * size);
  parallel_for(threads, m.items, [&](int64_t i) { body(m.item(i), partial.data() + i * size); });
  for (int64_t i = 1; i < m.items; ++i) {
    for (int64_t c = 0; c < size; ++c) partial[c] += partial[i * size + c];
  }
  partial.resize(size);
  return partial;
}

// What normalises: y = activation(x * factor + offset).
struct Affine {
  std::vector<float> inverse, factor, offset;  // inverse: one over the standard deviation.
};

Affine affine_of(const Matrix& m, const Array& scale, const Array& bias, const float* mean, const float* variance,
                 float epsilon) {
  Affine a{std::vector<float>(m.channels), std::vector<float>(m.channels), std::vector<float>(m.channels)};
  for (int64_t c = 0; c < m.channels; ++c) {
    a.inverse[c] = 1 / std::sqrt(variance[c] + epsilon);
    a.factor[c] = scale.typed_data()[c] * a.inverse[c];
    a.offset[c] = bias.typed_data()[c] - mean[c] * a.factor[c];
  }
  return a;
}

void normalise(ffi::ThreadPool& threads, const Matrix& m, const Affine& affine, Activation activation, const Array& x,
               Result& y) {
  parallel_for(threads, m.items, [&](int64_t i) {
    kernels().normalise(m.item(i), activation, x.typed_data(), affine.factor.data(), affine.offset.data(),
                        y->typed_data());
  });
}

ffi::Error batch_norm_call(ffi::ThreadPool threads, Array x, Array scale, Array bias, Result y, Result mean,
                           Result variance, float epsilon, Activation activation) {
  ShapeCheck check("batch norm");
  const Matrix m = matrix_of(check, x, activation);
  const Shape vector{m.channels};
  check.expect("scale", scale, vector).expect("bias", bias, vector).expect("y", y, shape_of(x));
  check.expect("mean", mean, vector).expect("variance", variance, vector);
  if (check.failed()) return check.error();

  const std::vector<double> sums =
      sums_of(threads, m, [&](const Rows& rows, double* out) { kernels().moments(rows, x.typed_data(), out); });
  for (int64_t c = 0; c < m.channels; ++c) {
    const double average = sums[c] / m.rows, square = sums[m.channels + c] / m.rows - average * average;
    mean->typed_data()[c] = static_cast<float>(average);
    variance->typed_data()[c] = static_cast<float>(square < 0 ? 0 : square);  // Not std::max, which hides a NaN.
  }
  const Affine affine = affine_of(m, scale, bias, mean->typed_data(), variance->typed_data(), epsilon);
  normalise(threads, m, affine, activation, x, y);
  return ffi::Error::Success();
}

// The same with statistics given: for evaluation.
ffi::Error normalise_call(ffi::ThreadPool threads, Array x, Array scale, Array bias, Array mean, Array variance,
                          Result y, float epsilon, Activation activation) {
  ShapeCheck check("batch norm by given statistics");
  const Matrix m = matrix_of(check, x, activation);
  const Shape vector{m.channels};
  check.expect("scale", scale, vector).expect("bias", bias, vector).expect("mean", mean, vector);
  check.expect("variance", variance, vector).expect("y", y, shape_of(x));
  if (check.failed()) return check.error();

  const Affine affine = affine_of(m, scale, bias, mean.typed_data(), variance.typed_data(), epsilon);
  normalise(threads, m, affine, activation, x, y);
  return ffi::Error::Success();
}

ffi::Error batch_norm_gradient_call(ffi::ThreadPool threads, Array x, Array scale, Array bias, Array mean,
                                    Array variance, Array dy, Result dx, Result dscale, Result dbias, float epsilon,
                                    Activation activation) {
  ShapeCheck check("gradient of batch norm");
  const Matrix m = matrix_of(check, x, activation);
  const Shape vector{m.channels};
  check.expect("scale", scale, vector).expect("bias", bias, vector).expect("mean", mean, vector);
  check.expect("variance", variance, vector).expect("dy", dy, shape_of(x)).expect("dx", dx, shape_of(x));
  check.expect("dscale", dscale, vector).expect("dbias", dbias, vector);
  if (check.failed()) return check.error();

  const Affine affine = affine_of(m, scale, bias, mean.typed_data(), variance.typed_data(), epsilon);
  // dz takes dx's place until the sums are known.
  const float* dz = activation == Activation::kNone ? dy.typed_data() : dx->typed_data();
  const std::vector<double> sums = sums_of(threads, m, [&](const Rows& rows, double* out) {
    kernels().gradient_moments(rows, activation, x.typed_data(), dy.typed_data(), affine.factor.data(),
                               affine.offset.data(), dx->typed_data(), out);
  });
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
  parallel_for(threads, m.items, [&](int64_t i) {
    kernels().normalise_dx(m.item(i), x.typed_data(), dz, affine.factor.data(), slope.data(), constant.data(),
                           dx->typed_data());
  });
  return ffi::Error::Success();
}

// ------------------------------------------------------------------------------------------------ squeeze-excite

// x (N, H, W, C), the first layer's kernel (C, S) and the second's (S, C).
struct SqueezeExcite {
  int64_t images;
  Gate gate;
};

SqueezeExcite squeeze_excite_of(ShapeCheck& check, const Array& x, const Array& squeeze, const Array& excite,
                                Activation activation) {
  const Shape in = shape_of(x), first = shape_of(squeeze);
  check.require(is_known(activation), "the activation has no such number");
  check.require(in.size() == 4 && first.size() == 2, "x must have four dimensions, squeeze two");
  if (check.failed()) return {};
  check.require(in[1] * in[2] > 0, "x has no pixels");
  check.expect("squeeze", squeeze, {in[3], first[1]}).expect("excite", excite, {first[1], in[3]});
  return {in[0], {in[1] * in[2], in[3], first[1], activation}};
}

std::vector<float> transposed(const float* matrix, int64_t rows, int64_t columns) {
  std::vector<float> out(rows * columns);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) out[c * rows + r] = matrix[r * columns + c];
  }
  return out;
}

ffi::Error squeeze_excite_call(ffi::ThreadPool threads, Array x, Array squeeze, Array squeeze_bias, Array excite,
                               Array excite_bias, Result y, Result mean, Result hidden, Result gate,
                               Activation activation) {
  ShapeCheck check("squeeze-excite");
  const auto [images, g] = squeeze_excite_of(check, x, squeeze, excite, activation);
  const Shape wide{images, g.channels}, narrow{images, g.squeezed};
  check.expect("squeeze_bias", squeeze_bias, {g.squeezed}).expect("excite_bias", excite_bias, {g.channels});
  check.expect("y", y, shape_of(x)).expect("mean", mean, wide).expect("hidden", hidden, narrow);
  check.expect("gate", gate, wide);
  if (check.failed()) return check.error();

  const std::vector<float> first = transposed(squeeze.typed_data(), g.channels, g.squeezed);
  std::vector<float> active(images * g.squeezed);
  const int64_t size = g.pixels * g.channels, at_once = std::max<int64_t>(1, kItemFloats / std::max<int64_t>(size, 1));
  const Gate& shape = g;
  const int64_t count = images;
  parallel_for(threads, quotient_up(count, at_once), [&](int64_t item) {
    for (int64_t i = item * at_once; i < std::min(count, (item + 1) * at_once); ++i) {
      kernels().squeeze_excite(shape, x.typed_data() + i * size, first.data(), squeeze_bias.typed_data(),
                               excite.typed_data(), excite_bias.typed_data(), y->typed_data() + i * size,
                               mean->typed_data() + i * shape.channels, hidden->typed_data() + i * shape.squeezed,
                               gate->typed_data() + i * shape.channels, active.data() + i * shape.squeezed);
    }
  });
  return ffi::Error::Success();
}

ffi::Error squeeze_excite_gradient_call(ffi::ThreadPool threads, Array x, Array squeeze, Array excite, Array mean,
                                        Array hidden, Array gate, Array dy, Result dx, Result dsqueeze,
                                        Result dsqueeze_bias, Result dexcite, Result dexcite_bias,
                                        Activation activation) {
  ShapeCheck check("gradient of squeeze-excite");
  const auto [images, g] = squeeze_excite_of(check, x, squeeze, excite, activation);
  const Shape wide{images, g.channels}, narrow{images, g.squeezed};
  check.expect("mean", mean, wide).expect("hidden", hidden, narrow).expect("gate", gate, wide);
  check.expect("dy", dy, shape_of(x)).expect("dx", dx, shape_of(x)).expect("dsqueeze", dsqueeze, shape_of(squeeze));
  check.expect("dsqueeze_bias", dsqueeze_bias, {g.squeezed}).expect("dexcite", dexcite, shape_of(excite));
  check.expect("dexcite_bias", dexcite_bias, {g.channels});
  if (check.failed()) return check.error();

  const std::vector<float> first = transposed(squeeze.typed_data(), g.channels, g.squeezed);
  std::vector<float> active(images * g.squeezed), dhidden(images * g.squeezed);
  std::vector<float> dgate(images * g.channels), dmean(images * g.channels);
  const int64_t size = g.pixels * g.channels, at_once = std::max<int64_t>(1, kItemFloats / std::max<int64_t>(size, 1));
  const Gate& shape = g;
  const int64_t count = images;
  parallel_for(threads, quotient_up(count, at_once), [&](int64_t item) {
    for (int64_t i = item * at_once; i < std::min(count, (item + 1) * at_once); ++i) {
      const int64_t narrow_at = i * shape.squeezed, wide_at = i * shape.channels;
      kernels().squeeze_excite_dx(shape, x.typed_data() + i * size, dy.typed_data() + i * size,
                                  hidden.typed_data() + narrow_at, gate.typed_data() + wide_at, first.data(),
                                  excite.typed_data(), dx->typed_data() + i * size, active.data() + narrow_at,
                                  dhidden.data() + narrow_at, dgate.data() + wide_at, dmean.data() + wide_at);
    }
  });
  // Of each squeezed channel: its row of both kernels' gradients, the first one's transposed.
  std::vector<float> rows(g.squeezed * g.channels);
  const auto row_of_both = [&](int64_t s) {
    float* row = rows.data() + s * shape.channels;
    kernels().weighted_sum(count, shape.channels, dhidden.data() + s, shape.squeezed, mean.typed_data(), row);
    for (int64_t c = 0; c < shape.channels; ++c) dsqueeze->typed_data()[c * shape.squeezed + s] = row[c];
    kernels().weighted_sum(count, shape.channels, active.data() + s, shape.squeezed, dgate.data(),
                           dexcite->typed_data() + s * shape.channels);
  };
  const int64_t rows_at_once = std::max<int64_t>(1, kItemFloats / std::max<int64_t>(1, count * g.channels));
  parallel_for(threads, quotient_up(g.squeezed, rows_at_once), [&](int64_t item) {
    for (int64_t s = item * rows_at_once; s < std::min(shape.squeezed, (item + 1) * rows_at_once); ++s) row_of_both(s);
  });
  const float one = 1;
  kernels().weighted_sum(count, g.squeezed, &one, 0, dhidden.data(), dsqueeze_bias->typed_data());
  kernels().weighted_sum(count, g.channels, &one, 0, dgate.data(), dexcite_bias->typed_data());
  return ffi::Error::Success();
}

// ------------------------------------------------------------------------------------------------ many small arrays

// A vector's parts, one after another.
ffi::Error split_call(ffi::ThreadPool threads, Array vector, ffi::RemainingRets parts) {
  ShapeCheck check("split");
  std::vector<float*> places;
  std::vector<int64_t> starts{0};
  for (size_t i = 0; i < parts.size(); ++i) {
    ffi::ErrorOr<Result> part = parts.get<Array>(i);
    if (part.has_error()) return part.error();
    places.push_back((*part)->typed_data());
    starts.push_back(starts.back() + static_cast<int64_t>((*part)->element_count()));
  }
  check.expect("vector", vector, {starts.back()});
  if (check.failed()) return check.error();
  parallel_for(threads, places.size(), [&](int64_t i) {
    std::copy(vector.typed_data() + starts[i], vector.typed_data() + starts[i + 1], places[i]);
  });
  return ffi::Error::Success();
}

// Averages and values in turn, (n,) each, and results: average = momentum * average + (1 - momentum) * value.
ffi::Error moving_average_call(ffi::RemainingArgs arrays, ffi::RemainingRets averages, float momentum) {
  ShapeCheck check("moving average");
  check.require(arrays.size() == 2 * averages.size(), "needs two arrays for each result");
  for (size_t i = 0; i < averages.size() && !check.failed(); ++i) {
    ffi::ErrorOr<Array> old = arrays.get<Array>(2 * i), value = arrays.get<Array>(2 * i + 1);
    ffi::ErrorOr<Result> average = averages.get<Array>(i);
    if (old.has_error()) return old.error();
    if (value.has_error()) return value.error();
    if (average.has_error()) return average.error();
    check.expect("value", *value, shape_of(*old)).expect("average", *average, shape_of(*old));
    if (check.failed()) break;
    for (size_t n = 0; n < old->element_count(); ++n) {
      (*average)->typed_data()[n] = momentum * old->typed_data()[n] + (1 - momentum) * value->typed_data()[n];
    }
  }
  return check.failed() ? check.error() : ffi::Error::Success();
}

}  // namespace
}  // namespace scaling_search

XLA_FFI_REGISTER_ENUM_ATTR_DECODING(scaling_search::Activation);

namespace scaling_search {

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_depthwise, depthwise_call, window_call());

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_depthwise_gradient, depthwise_gradient_call,
                              with_window(ffi::Ffi::Bind()
                                              .Ctx<ffi::ThreadPool>()
                                              .Arg<Array>()
                                              .Arg<Array>()
                                              .Arg<Array>()
                                              .Ret<Array>()
                                              .Ret<Array>()));

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_batch_norm, batch_norm_call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Attr<float>("epsilon")
                                  .Attr<Activation>("activation"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_normalise, normalise_call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Ret<Array>()
                                  .Attr<float>("epsilon")
                                  .Attr<Activation>("activation"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_batch_norm_gradient, batch_norm_gradient_call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Attr<float>("epsilon")
                                  .Attr<Activation>("activation"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_squeeze_excite, squeeze_excite_call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Attr<Activation>("activation"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_squeeze_excite_gradient, squeeze_excite_gradient_call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Attr<Activation>("activation"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_split, split_call,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Array>().RemainingRets());

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_moving_average, moving_average_call,
                              ffi::Ffi::Bind().RemainingArgs().RemainingRets().Attr<float>("momentum"));

// For the loader: the XLA FFI that the library was built for, and the instruction set in use.
extern "C" int scaling_search_ffi_major() { return XLA_FFI_API_MAJOR; }
extern "C" int scaling_search_ffi_minor() { return XLA_FFI_API_MINOR; }
extern "C" const char* scaling_search_instructions() { return kernels().name; }

}  // namespace scaling_search
