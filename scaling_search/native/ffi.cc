// What XLA calls: checks of shapes, the split into items for XLA's threads, and the choice of instruction set.
//
// How work is split depends on shapes alone, and partial sums are added in the order of the items, so a result is the
// same to the last bit however many threads there are and whoever comes first.
#include <algorithm>
#include <string>
#include <vector>

#include "batch_norm.h"
#include "batch_norm_calls.h"
#include "dense.h"
#include "depthwise.h"
#include "kernels.h"
#include "parallel.h"
#include "pointwise.h"
#include "shapes.h"
#include "squeeze_excite.h"
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

#define SCALING_SEARCH_CHOOSE(Table, function)                  \
  const Table& function() {                                     \
    static const Table& chosen = SCALING_SEARCH_WIDEST(Table);  \
    return chosen;                                              \
  }

SCALING_SEARCH_CHOOSE(Kernels, kernels)
SCALING_SEARCH_CHOOSE(DenseKernels, dense_kernels)
SCALING_SEARCH_CHOOSE(DepthwiseKernels, depthwise_kernels)
SCALING_SEARCH_CHOOSE(BatchNormKernels, batch_norm_kernels)
SCALING_SEARCH_CHOOSE(SqueezeExciteKernels, squeeze_excite_kernels)
SCALING_SEARCH_CHOOSE(PointwiseKernels, pointwise_kernels)

namespace {

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
      squeeze_excite_kernels().forward(shape, x.typed_data() + i * size, first.data(), squeeze_bias.typed_data(),
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
      squeeze_excite_kernels().dx(shape, x.typed_data() + i * size, dy.typed_data() + i * size,
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
