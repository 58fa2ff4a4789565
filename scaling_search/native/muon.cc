// A step of Muon (training/muon.py) for all matrices of a network in one call, which XLA would compile product by
// product.
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels.h"
#include "parallel.h"
#include "shapes.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {
namespace {

using Scalar = ffi::Buffer<ffi::F32, 0>;
using Vector = ffi::Buffer<ffi::F32, 1>;
using Numbers = ffi::Span<const int64_t>;

// A matrix of floats whose rows and columns are filled up with zeros to whole blocks.
struct Padded {
  Padded(int64_t rows, int64_t columns)
      : columns(columns), pitch(blocks(columns)), height(blocks(rows)), values(static_cast<size_t>(height * pitch)) {}

  static int64_t blocks(int64_t count) { return quotient_up(count, kMatrixBlock) * kMatrixBlock; }
  float* row(int64_t i) { return values.data() + i * pitch; }

  int64_t columns, pitch, height;
  std::vector<float> values;
};

// to = from transposed, the zeros included.
void transpose(Padded& from, Padded& to) {
  for (int64_t i = 0; i < from.height; ++i) {
    for (int64_t j = 0; j < from.pitch; ++j) to.row(j)[i] = from.row(i)[j];
  }
}

// out = left^T right, over the first `count` rows of both.
void multiply(int64_t count, Padded& left, Padded& right, Padded& out, bool symmetric) {
  kernels().cross({count, left.columns, left.pitch, right.pitch, symmetric}, left.row(0), right.row(0), out.row(0));
}

struct Matrix {
  int64_t rows, columns;
  const float* values;
};

// The matrix, the wide way, with its singular values brought to about 1.
Padded orthogonalised(const Matrix& matrix, int64_t iterations, ffi::Span<const float> coefficients) {
  const bool tall = matrix.rows > matrix.columns;
  const int64_t size = matrix.rows * matrix.columns;
  const int64_t low = tall ? matrix.columns : matrix.rows, high = tall ? matrix.rows : matrix.columns;
  double squares = 0;
  for (int64_t n = 0; n < size; ++n) squares += static_cast<double>(matrix.values[n]) * matrix.values[n];
  const float norm = static_cast<float>(std::sqrt(squares)) + 1e-7f;
  Padded wide(low, high), upright(high, low), gram(low, low), square(low, low), product(low, high);
  Padded& given = tall ? upright : wide;
  for (int64_t i = 0; i < matrix.rows; ++i) {
    for (int64_t j = 0; j < matrix.columns; ++j) given.row(i)[j] = matrix.values[i * matrix.columns + j] / norm;
  }
  if (tall) transpose(upright, wide);
  for (int64_t iteration = 0; iteration < iterations; ++iteration) {
    if (iteration > 0 || !tall) transpose(wide, upright);
    multiply(high, upright, upright, gram, true);
    multiply(low, gram, gram, square, true);
    for (size_t n = 0; n < gram.values.size(); ++n) {
      square.values[n] = coefficients[1] * gram.values[n] + coefficients[2] * square.values[n];
    }
    multiply(low, square, wide, product, false);
    for (size_t n = 0; n < wide.values.size(); ++n) {
      wide.values[n] = coefficients[0] * wide.values[n] + product.values[n];
    }
  }
  return wide;
}

ffi::Error muon_call(ffi::ThreadPool threads, Vector momentum, Vector kernels, Vector updates,
                     Scalar rate, ffi::Result<Vector> moved, Numbers offsets, Numbers rows,
                     Numbers columns, ffi::Span<const float> coefficients, int64_t iterations, float weight_decay) {
  const int64_t size = static_cast<int64_t>(momentum.element_count());
  bool fits = static_cast<int64_t>(kernels.element_count()) == size && offsets.size() == rows.size() &&
              static_cast<int64_t>(updates.element_count()) == size && offsets.size() == columns.size() &&
              static_cast<int64_t>(moved->element_count()) == size && coefficients.size() == 3;
  for (size_t n = 0; n < offsets.size() && fits; ++n) {
    fits = offsets[n] >= 0 && rows[n] > 0 && columns[n] > 0 && rows[n] <= size / columns[n] &&
           offsets[n] <= size - rows[n] * columns[n];
  }
  if (!fits) return ffi::Error::InvalidArgument("muon: vectors of different lengths, or matrices that do not fit them");
  std::memcpy(moved->typed_data(), updates.typed_data(), static_cast<size_t>(size) * sizeof(float));
  parallel_for(threads, static_cast<int64_t>(offsets.size()), [&](int64_t n) {
    const float* const given = momentum.typed_data() + offsets[n];
    const float* const kernel = kernels.typed_data() + offsets[n];
    float* const out = moved->typed_data() + offsets[n];
    Padded step = orthogonalised({rows[n], columns[n], given}, iterations, coefficients);
    const bool tall = rows[n] > columns[n];
    const float larger = tall ? 1.0f : std::sqrt(static_cast<float>(columns[n]) / static_cast<float>(rows[n]));
    const float down = -rate.typed_data()[0];
    for (int64_t i = 0; i < rows[n]; ++i) {
      for (int64_t j = 0; j < columns[n]; ++j) {
        const float one = larger * (tall ? step.row(j)[i] : step.row(i)[j]);
        out[i * columns[n] + j] = down * (one + weight_decay * kernel[i * columns[n] + j]);
      }
    }
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_muon, muon_call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Vector>()
                                  .Arg<Vector>()
                                  .Arg<Vector>()
                                  .Arg<Scalar>()
                                  .Ret<Vector>()
                                  .Attr<Numbers>("offsets")
                                  .Attr<Numbers>("rows")
                                  .Attr<Numbers>("columns")
                                  .Attr<ffi::Span<const float>>("coefficients")
                                  .Attr<int64_t>("iterations")
                                  .Attr<float>("weight_decay"));

}  // namespace scaling_search
