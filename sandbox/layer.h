// The layers of a sandbox and the limits: one list for what was enforced, for --allow-weaker and for the doctor.
#ifndef BROOD_SANDBOX_LAYER_H_
#define BROOD_SANDBOX_LAYER_H_

#include <array>
#include <optional>
#include <set>
#include <string_view>

namespace brood {

enum class Layer {
  kUser,
  kPid,
  kMount,
  kNet,
  kIpc,
  kUts,
  kCgroup,
  kTime,
  kCapabilities,
  kNoNewPrivs,
  kSeccomp,
  kLandlock,
  kSpeculation,
  kLabel,
  kTree,
  kMemory,
  kProcesses,
  kCpuTime,
  kWallTime,
  kOutput,
  kFileSize,
  kOpenFiles,
  kCpu,
  kIo,
  kDisk,
  kRlimits,
};

inline constexpr std::array<Layer, 26> kAllLayers = {
    Layer::kUser,      Layer::kPid,      Layer::kMount,       Layer::kNet,          Layer::kIpc,
    Layer::kUts,       Layer::kCgroup,   Layer::kTime,        Layer::kCapabilities, Layer::kNoNewPrivs,
    Layer::kSeccomp,   Layer::kLandlock, Layer::kSpeculation, Layer::kLabel,        Layer::kTree,
    Layer::kMemory,    Layer::kProcesses, Layer::kCpuTime,    Layer::kWallTime,     Layer::kOutput,
    Layer::kFileSize,  Layer::kOpenFiles, Layer::kCpu,        Layer::kIo,           Layer::kDisk,
    Layer::kRlimits,
};

using LayerSet = std::set<Layer>;

// The name in policy files, results and on the command line: "user", "no_new_privs", "memory".
std::string_view LayerName(Layer layer);

// The layer of that name, or nothing.
std::optional<Layer> LayerFromName(std::string_view name);

}  // namespace brood

#endif  // BROOD_SANDBOX_LAYER_H_
