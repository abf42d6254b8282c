// By what Windows enforces each layer, in the words of outcomes and of the doctor. For sandbox/ and launcher/.
#ifndef BROOD_SANDBOX_WINDOWS_LAYERS_H_
#define BROOD_SANDBOX_WINDOWS_LAYERS_H_

#include <string_view>

#include "sandbox/layer.h"

namespace brood {

inline constexpr std::string_view kTreeByWhat = "job object, kill on close";
inline constexpr std::string_view kWallTimeByWhat = "timer that ends the job";

// Empty for what Windows lacks. "weaker: ..." for what only comes near.
constexpr std::string_view LayerByWhat(Layer layer) {
  switch (layer) {
    case Layer::kTree:
      return kTreeByWhat;
    case Layer::kWallTime:
      return kWallTimeByWhat;
    case Layer::kOutput:
      return "pump between child and sink that ends the job";
    case Layer::kMemory:
      return "job object, committed memory";
    case Layer::kProcesses:
      return "job object, active processes; threads are not counted";
    case Layer::kCpuTime:
      return "job object, user time; timer that ends the job, user and kernel time";
    case Layer::kCapabilities:
      return "restricted token without privileges";
    case Layer::kNoNewPrivs:
      return "low integrity level";
    case Layer::kNet:
      return "AppContainer without capabilities";
    case Layer::kMount:
      return "weaker: AppContainer, files that are for application packages";
    case Layer::kIpc:
      return "weaker: job object, restrictions of the user interface";
    case Layer::kSeccomp:
      return "weaker: process mitigation policies";
    default:
      return "";
  }
}

}  // namespace brood

#endif  // BROOD_SANDBOX_WINDOWS_LAYERS_H_
