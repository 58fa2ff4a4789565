// What the calls' checks of shapes have in common.
#ifndef SCALING_SEARCH_NATIVE_SHAPES_H_
#define SCALING_SEARCH_NATIVE_SHAPES_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace scaling_search {

namespace ffi = xla::ffi;
using Array = ffi::Buffer<ffi::F32>;
using Result = ffi::ResultBuffer<ffi::F32>;
using Shape = std::vector<int64_t>;

inline int64_t quotient_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (size_t n = 0; n < shape.size(); ++n) text += (n ? ", " : "") + std::to_string(shape[n]);
  return text + ")";
}

inline Shape shape_of(const Array& array) {
  const auto dimensions = array.dimensions();
  return Shape(dimensions.begin(), dimensions.end());
}

// `binding` with so many arrays that XLA gives a call, and then so many that the call makes.
template <int kArguments, int kResults, class Binding>
auto with_arrays(Binding binding) {
  if constexpr (kArguments > 0) {
    return with_arrays<kArguments - 1, kResults>(std::move(binding).template Arg<Array>());
  } else if constexpr (kResults > 1) {
    return with_arrays<0, kResults - 1>(std::move(binding).template Ret<Array>());
  } else {
    return std::move(binding).template Ret<Array>();
  }
}

// How XLA calls what makes arrays of arrays on its threads. Attributes may follow.
template <int kArguments, int kResults>
auto arrays_call() {
  return with_arrays<kArguments, kResults>(ffi::Ffi::Bind().Ctx<ffi::ThreadPool>());
}

// How XLA calls what slides a window: `binding` says the arrays, and this what else there is to say of the window.
template <class Binding>
auto with_window(Binding binding) {
  return std::move(binding).template Attr<int64_t>("stride").template Attr<int64_t>("top").template Attr<int64_t>("left");
}

// A window's call that makes one array of two.
inline auto window_call() { return with_window(arrays_call<2, 1>()); }

// Collects the first wrong shape among a call's arrays.
class ShapeCheck {
 public:
  explicit ShapeCheck(const char* operation) : operation_(operation) {}

  ShapeCheck& expect(const char* name, const Shape& given, const Shape& needed) {
    return require(given == needed, std::string(name) + " has shape " + to_string(given) + ", needs " + to_string(needed));
  }
  ShapeCheck& expect(const char* name, const Array& array, const Shape& needed) {
    return expect(name, shape_of(array), needed);
  }
  ShapeCheck& expect(const char* name, Result& array, const Shape& needed) { return expect(name, shape_of(*array), needed); }

  ShapeCheck& require(bool holds, const std::string& message) {
    if (!holds && message_.empty()) message_ = std::string(operation_) + ": " + message;
    return *this;
  }
  bool failed() const { return !message_.empty(); }
  ffi::Error error() const { return ffi::Error::InvalidArgument(message_); }

 private:
  const char* operation_;
  std::string message_;
};

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_SHAPES_H_
