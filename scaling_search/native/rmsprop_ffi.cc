// What XLA calls for a step of RMSProp with momentum, of parameters packed in a vector.
#include <algorithm>

#include "parallel.h"
#include "rmsprop.h"
#include "shapes.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {
namespace {

ffi::Error rmsprop_call(ffi::ThreadPool threads, Array gradients, Array parameters, Array squares, Array updates,
                        Array rate, Result new_squares, Result new_updates, float momentum, float decay, float epsilon,
                        float weight_decay) {
  ShapeCheck check("RMSProp");
  const Shape vector = shape_of(gradients);
  check.expect("parameters", parameters, vector).expect("squares", squares, vector).expect("updates", updates, vector);
  check.expect("new squares", new_squares, vector).expect("new updates", new_updates, vector).expect("rate", rate, {});
  if (check.failed()) return check.error();
  const RmsProp rule{rate.typed_data()[0], momentum, decay, epsilon, weight_decay};
  const auto count = static_cast<int64_t>(gradients.element_count());
  parallel_for(threads, quotient_up(count, kItemFloats), [&](int64_t i) {
    const int64_t at = i * kItemFloats;
    rmsprop_kernels().step(rule, std::min(kItemFloats, count - at), gradients.typed_data() + at,
                           parameters.typed_data() + at, squares.typed_data() + at, updates.typed_data() + at,
                           new_squares->typed_data() + at, new_updates->typed_data() + at);
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_rmsprop, rmsprop_call,
                              (arrays_call<5, 2>())
                                  .Attr<float>("momentum")
                                  .Attr<float>("decay")
                                  .Attr<float>("epsilon")
                                  .Attr<float>("weight_decay"));

}  // namespace scaling_search
