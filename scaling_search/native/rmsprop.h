// A step of RMSProp with momentum: what one instruction set offers.
#ifndef SCALING_SEARCH_NATIVE_RMSPROP_H_
#define SCALING_SEARCH_NATIVE_RMSPROP_H_

#include "kernels.h"

namespace scaling_search {

struct RmsProp {
  float rate, momentum, decay, epsilon, weight_decay;
  float keep;  // How much of an average stays.
};

// Vectors of a step, from some element on. What is new may lie where the old is.
struct RmsPropVectors {
  const float *parameters, *squares, *updates, *averages;
  float *new_parameters, *new_squares, *new_updates, *new_averages;
};

struct RmsPropKernels {
  // With g = gradient + weight_decay * parameter:
  //   new square = decay * square + (1 - decay) * g * g
  //   new update = momentum * update - rate * g / sqrt(new square + epsilon)
  //   new parameter = parameter + new update
  //   new average = keep * average + (1 - keep) * new parameter
  void (*step)(const RmsProp&, int64_t count, const float* gradients, const RmsPropVectors&);
};

// Those of the widest instructions that this CPU has.
const RmsPropKernels& rmsprop_kernels();

SCALING_SEARCH_DECLARE(RmsPropKernels);

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_RMSPROP_H_
