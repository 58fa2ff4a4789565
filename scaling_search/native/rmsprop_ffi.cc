// What XLA calls for a step of RMSProp with momentum and of the averaged parameters, which are packed in vectors. Their
// gradients come in pieces as they were made, which lie one after another in the vectors.
#include <algorithm>
#include <vector>

#include "parallel.h"
#include "rmsprop.h"
#include "shapes.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {
namespace {

ffi::Error rmsprop_call(ffi::ThreadPool threads, Array parameters, Array squares, Array updates, Array averages,
                        Array rate, Array keep, ffi::RemainingArgs gradients, Result new_parameters,
                        Result new_squares, Result new_updates, Result new_averages, float momentum, float decay,
                        float epsilon, float weight_decay) {
  ShapeCheck check("RMSProp");
  std::vector<const float*> pieces;
  std::vector<int64_t> starts{0};
  for (size_t i = 0; i < gradients.size(); ++i) {
    ffi::ErrorOr<Array> piece = gradients.get<Array>(i);
    if (piece.has_error()) return piece.error();
    pieces.push_back(piece->typed_data());
    starts.push_back(starts.back() + static_cast<int64_t>(piece->element_count()));
  }
  const int64_t count = starts.back();
  const Shape vector{count};
  check.expect("parameters", parameters, vector).expect("squares", squares, vector).expect("updates", updates, vector);
  check.expect("averages", averages, vector).expect("rate", rate, {}).expect("keep", keep, {});
  check.expect("new parameters", new_parameters, vector).expect("new squares", new_squares, vector);
  check.expect("new updates", new_updates, vector).expect("new averages", new_averages, vector);
  if (check.failed()) return check.error();
  const RmsProp rule{rate.typed_data()[0], momentum, decay, epsilon, weight_decay, keep.typed_data()[0]};
  parallel_for(threads, quotient_up(count, kItemFloats), [&](int64_t i) {
    const int64_t end = std::min((i + 1) * kItemFloats, count);
    int64_t at = i * kItemFloats;
    // The last piece that begins here or before.
    auto piece = std::upper_bound(starts.begin(), starts.end(), at) - starts.begin() - 1;
    for (; at < end; at = starts[++piece]) {
      const RmsPropVectors from_here{parameters.typed_data() + at,      squares.typed_data() + at,
                                     updates.typed_data() + at,         averages.typed_data() + at,
                                     new_parameters->typed_data() + at, new_squares->typed_data() + at,
                                     new_updates->typed_data() + at,    new_averages->typed_data() + at};
      rmsprop_kernels().step(rule, std::min(end, starts[piece + 1]) - at, pieces[piece] + (at - starts[piece]),
                             from_here);
    }
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_rmsprop, rmsprop_call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .RemainingArgs()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Attr<float>("momentum")
                                  .Attr<float>("decay")
                                  .Attr<float>("epsilon")
                                  .Attr<float>("weight_decay"));

}  // namespace scaling_search
