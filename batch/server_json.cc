#include "batch/server_json.h"

#include <nlohmann/json.hpp>

#include "absl/time/time.h"

namespace brood {

std::string ServerJson(const ServerReport& report) {
  nlohmann::ordered_json json;
  json["ready_s"] = absl::ToDoubleSeconds(report.time);
  json["preloads"] = nlohmann::ordered_json::array();
  for (const PreloadReport& preload : report.preloads) {
    json["preloads"].push_back(
        {{"name", preload.name}, {"time_s", absl::ToDoubleSeconds(preload.time)}, {"memory_bytes", preload.memory_bytes}});
  }
  json["frozen"] = report.frozen;
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace brood
