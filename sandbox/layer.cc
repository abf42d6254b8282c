#include "sandbox/layer.h"

namespace brood {

std::string_view LayerName(Layer layer) {
  switch (layer) {
    case Layer::kUser:
      return "user";
    case Layer::kPid:
      return "pid";
    case Layer::kMount:
      return "mount";
    case Layer::kNet:
      return "net";
    case Layer::kIpc:
      return "ipc";
    case Layer::kUts:
      return "uts";
    case Layer::kCgroup:
      return "cgroup";
    case Layer::kTime:
      return "time";
    case Layer::kCapabilities:
      return "capabilities";
    case Layer::kNoNewPrivs:
      return "no_new_privs";
    case Layer::kSeccomp:
      return "seccomp";
    case Layer::kLandlock:
      return "landlock";
    case Layer::kSpeculation:
      return "speculation";
    case Layer::kLabel:
      return "label";
    case Layer::kTree:
      return "tree";
    case Layer::kMemory:
      return "memory";
    case Layer::kProcesses:
      return "processes";
    case Layer::kCpuTime:
      return "cpu_time";
    case Layer::kWallTime:
      return "wall_time";
    case Layer::kOutput:
      return "output";
    case Layer::kFileSize:
      return "file_size";
    case Layer::kOpenFiles:
      return "open_files";
    case Layer::kCpu:
      return "cpu";
    case Layer::kIo:
      return "io";
    case Layer::kDisk:
      return "disk";
    case Layer::kRlimits:
      return "rlimits";
  }
  return "unknown";
}

std::optional<Layer> LayerFromName(std::string_view name) {
  for (const Layer layer : kAllLayers) {
    if (LayerName(layer) == name) return layer;
  }
  return std::nullopt;
}

}  // namespace brood
