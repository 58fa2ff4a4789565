// What the calls' checks of shapes have in common.
#ifndef SCALING_SEARCH_NATIVE_SHAPES_H_
#define SCALING_SEARCH_NATIVE_SHAPES_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bfloat16.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {

namespace ffi = xla::ffi;
using Array = ffi::Buffer<ffi::F32>;
using Result = ffi::ResultBuffer<ffi::F32>;
using HalfArray = ffi::Buffer<ffi::BF16>;
using HalfResult = ffi::ResultBuffer<ffi::BF16>;
using Shape = std::vector<int64_t>;

inline int64_t quotient_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (size_t n = 0; n < shape.size(); ++n) text += (n ? ", " : "") + std::to_string(shape[n]);
  return text + ")";
}

template <ffi::DataType kType>
Shape shape_of(const ffi::Buffer<kType>& array) {
  const auto dimensions = array.dimensions();
  return Shape(dimensions.begin(), dimensions.end());
}

inline const float* numbers(const Array& array) { return array.typed_data(); }
inline float* numbers(Result& array) { return array->typed_data(); }
inline const Bfloat16* numbers(const HalfArray& array) { return reinterpret_cast<const Bfloat16*>(array.typed_data()); }
inline Bfloat16* numbers(HalfResult& array) { return reinterpret_cast<Bfloat16*>(array->typed_data()); }

// Kinds of arrays that XLA gives a call, and those that the call makes.
template <class... Arrays>
struct Given {};
template <class... Arrays>
struct Made {};

template <class First, class... Rest, class Binding>
auto with_results(Binding binding, Made<First, Rest...>) {
  if constexpr (sizeof...(Rest) > 0) {
    return with_results(std::move(binding).template Ret<First>(), Made<Rest...>{});
  } else {
    return std::move(binding).template Ret<First>();
  }
}
template <class First, class... Rest, class Binding, class Results>
auto with_arrays(Binding binding, Given<First, Rest...>, Results results) {
  if constexpr (sizeof...(Rest) > 0) {
    return with_arrays(std::move(binding).template Arg<First>(), Given<Rest...>{}, results);
  } else {
    return with_results(std::move(binding).template Arg<First>(), results);
  }
}

// How XLA calls what makes arrays of arrays on its threads. Attributes may follow.
template <class Arguments, class Results>
auto arrays_call(Arguments arguments, Results results) {
  return with_arrays(ffi::Ffi::Bind().Ctx<ffi::ThreadPool>(), arguments, results);
}

template <size_t, class Each>
using Repeated = Each;
template <size_t... kArguments, size_t... kResults>
auto repeated_call(std::index_sequence<kArguments...>, std::index_sequence<kResults...>) {
  return arrays_call(Given<Repeated<kArguments, Array>...>{}, Made<Repeated<kResults, Array>...>{});
}

// The same where all are floats.
template <int kArguments, int kResults>
auto arrays_call() {
  return repeated_call(std::make_index_sequence<kArguments>{}, std::make_index_sequence<kResults>{});
}

// How XLA calls what slides a window: `binding` says the arrays, and this what else there is to say of the window.
template <class Binding>
auto with_window(Binding binding) {
  return std::move(binding).template Attr<int64_t>("stride").template Attr<int64_t>("top").template Attr<int64_t>(
      "left");
}

// A window's call that makes one array of two.
template <class Each = Array>
auto window_call() {
  return with_window(arrays_call(Given<Each, Each>{}, Made<Each>{}));
}

// Collects the first wrong shape among a call's arrays.
class ShapeCheck {
 public:
  explicit ShapeCheck(const char* operation) : operation_(operation) {}

  ShapeCheck& expect(const char* name, const Shape& given, const Shape& needed) {
    if (given == needed) return *this;  // Without the text, which takes longer than some calls' work.
    return require(false, std::string(name) + " has shape " + to_string(given) + ", needs " + to_string(needed));
  }
  template <ffi::DataType kType>
  ShapeCheck& expect(const char* name, const ffi::Buffer<kType>& array, const Shape& needed) {
    return expect(name, shape_of(array), needed);
  }
  template <ffi::DataType kType>
  ShapeCheck& expect(const char* name, ffi::ResultBuffer<kType>& array, const Shape& needed) {
    return expect(name, shape_of(*array), needed);
  }

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
