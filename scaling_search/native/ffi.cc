// What XLA calls: checks of shapes, the split into items for XLA's threads, and the choice of instruction set.
//
// How work is split depends on shapes alone, and partial sums are added in the order of the items, so a result is the
// same to the last bit however many threads there are and whoever comes first.
#include <algorithm>
#include <string>
#include <vector>

#include "batch_norm.h"
#include "dense.h"
#include "depthwise.h"
#include "grouped.h"
#include "kernels.h"
#include "parallel.h"
#include "pointwise.h"
#include "pooling.h"
#include "residual.h"
#include "rmsprop.h"
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
SCALING_SEARCH_CHOOSE(GroupedKernels, grouped_kernels)
SCALING_SEARCH_CHOOSE(PointwiseKernels, pointwise_kernels)
SCALING_SEARCH_CHOOSE(PoolingKernels, pooling_kernels)
SCALING_SEARCH_CHOOSE(RmsPropKernels, rmsprop_kernels)

// Of images in float32, and in bfloat16.
#define SCALING_SEARCH_CHOOSE_BOTH(Table, function)        \
  template <>                                              \
  SCALING_SEARCH_CHOOSE(Table, function<float>)            \
  template <>                                              \
  SCALING_SEARCH_CHOOSE(Half##Table, function<Bfloat16>)

SCALING_SEARCH_CHOOSE_BOTH(BatchNormKernels, batch_norm_kernels)
SCALING_SEARCH_CHOOSE_BOTH(JoinedKernels, joined_kernels)
SCALING_SEARCH_CHOOSE_BOTH(ResidualKernels, residual_kernels)
SCALING_SEARCH_CHOOSE_BOTH(DepthwiseKernels, depthwise_kernels)
SCALING_SEARCH_CHOOSE_BOTH(SqueezeExciteKernels, squeeze_excite_kernels)

namespace {

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
    const float *before = old->typed_data(), *now = value->typed_data();
    std::transform(before, before + old->element_count(), now, (*average)->typed_data(),
                   [momentum](float a, float b) { return momentum * a + (1 - momentum) * b; });
  }
  return check.failed() ? check.error() : ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_split, split_call,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Array>().RemainingRets());

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_moving_average, moving_average_call,
                              ffi::Ffi::Bind().RemainingArgs().RemainingRets().Attr<float>("momentum"));

// For the loader: the XLA FFI that the library was built for, and the instruction set in use.
extern "C" int scaling_search_ffi_major() { return XLA_FFI_API_MAJOR; }
extern "C" int scaling_search_ffi_minor() { return XLA_FFI_API_MINOR; }
extern "C" const char* scaling_search_instructions() { return kernels().name; }

}  // namespace scaling_search
