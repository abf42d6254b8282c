#include "batch/result_json.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "batch/text.h"
#include "sandbox/layer.h"

namespace brood {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;

std::string HexText(uint64_t value) { return absl::StrCat("0x", absl::Hex(value)); }

std::string TimeText(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone()); }

Json StreamJson(const JobStream& stream) {
  Json json;
  if (!stream.path.empty()) {
    json["path"] = stream.path;
  } else if (IsUtf8(stream.content)) {
    // Not left to the library, which tells of a failure by an exception or a replaced character only.
    json["text"] = stream.content;
  } else {
    json["base64"] = absl::Base64Escape(stream.content);
  }
  json["bytes"] = stream.bytes;
  json["truncated"] = stream.truncated;
  if (stream.error_number != 0) json["error"] = SystemErrorName(stream.error_number);
  return json;
}

Json ViolationJson(const Outcome& outcome) {
  const auto* violation = std::get_if<Violation>(&outcome.ending);
  if (violation == nullptr) return nullptr;
  Json args = Json::array();
  // As text: JSON's readers keep 53 bits of a number.
  for (const uint64_t arg : violation->args) args.push_back(HexText(arg));
  Json json = {{"syscall", violation->syscall}, {"nr", violation->number}, {"args", args},
               {"arch", violation->arch},       {"tid", violation->tid},   {"ip", HexText(violation->instruction_pointer)}};
  if (!violation->decoded.empty()) json["decoded"] = violation->decoded;
  if (violation->stack_end.empty()) return json;  // Not asked for.
  json["stack"] = Json::array();
  for (const auto& [address, function, offset, file] : violation->stack) {
    json["stack"].push_back({{"ip", HexText(address)}, {"function", function}, {"offset", HexText(offset)}, {"file", file}});
  }
  json["stack_end"] = violation->stack_end;
  return json;
}

Json NotifiedJson(const Outcome& outcome) {
  Json list = Json::array();
  for (const Notified& entry : outcome.notified) {
    Json args = Json::array();
    for (const uint64_t arg : entry.first_args) args.push_back(HexText(arg));
    list.push_back({{"syscall", entry.syscall}, {"nr", entry.number}, {"count", entry.count}, {"first_args", args}});
  }
  return list;
}

Json SetupJson(const Outcome& outcome) {
  const auto* setup = std::get_if<SetupFailed>(&outcome.ending);
  if (setup == nullptr) return nullptr;
  Json error = nullptr;
  if (setup->error_number != 0) error = SystemErrorName(setup->error_number);
  return {{"step", setup->step}, {"errno", error}, {"detail", setup->detail}};
}

void AddEnd(const JobEnd& end, ResultStreams streams, Json& json) {
  const Outcome& outcome = end.outcome;
  const auto* exited = std::get_if<Exited>(&outcome.ending);
  const auto* signaled = std::get_if<Signaled>(&outcome.ending);
  json["status"] = outcome.StatusWord();
  json["exit_code"] = exited != nullptr ? Json(exited->code) : Json(nullptr);
  json["signal"] = signaled != nullptr ? Json(signaled->signal) : Json(nullptr);
  json["core"] = signaled != nullptr && signaled->core_dumped;
  json["violation"] = ViolationJson(outcome);
  json["limits_hit"] = Json::array();
  for (const Layer layer : outcome.limits_hit) json["limits_hit"].push_back(LayerName(layer));
  json["setup"] = SetupJson(outcome);
  if (const auto* lost = std::get_if<Lost>(&outcome.ending)) json["reason"] = lost->reason;
  json["start"] = outcome.start == absl::InfinitePast() ? Json(nullptr) : Json(TimeText(outcome.start));
  json["wall_s"] = absl::ToDoubleSeconds(outcome.usage.wall_time);
  json["cpu_s"] = absl::ToDoubleSeconds(outcome.usage.cpu_time);
  json["memory_peak_bytes"] = outcome.usage.memory_peak_bytes;
  json["max_rss_bytes"] = outcome.usage.max_rss_bytes;
  const bool included = streams == ResultStreams::kIncluded;
  json["stdout"] = included ? StreamJson(end.stdout_stream) : Json(nullptr);
  json["stderr"] = included ? StreamJson(end.stderr_stream) : Json(nullptr);
  json["value"] = nullptr;
  json["enforced"] = Json::object();
  for (const auto& [layer, by_what] : outcome.enforced) json["enforced"][std::string(LayerName(layer))] = by_what;
  json["kept_groups"] = outcome.kept_groups;
  json["notified"] = NotifiedJson(outcome);
  // Nothing where nothing was asked for.
  for (const auto& [source, destination, bytes, problem] : outcome.copied) {
    json["copied"].push_back({{"from", source},
                              {"to", destination},
                              {"bytes", bytes},
                              {"problem", problem.empty() ? Json(nullptr) : Json(problem)}});
  }
  json["refused"] = Json::array();
  for (const RefusedConnection& entry : outcome.refused) json["refused"].push_back({{"to", entry.to}, {"count", entry.count}});
}

}  // namespace

std::string ResultLine(std::string_view id, int attempt, const JobEnd& end, ResultStreams streams) {
  Json json;
  json["v"] = kVersion;
  json["id"] = id;
  json["attempt"] = attempt;
  AddEnd(end, streams, json);
  if (!end.programs.empty()) {
    json["decided_by"] = end.decided_by;
    json["programs"] = Json::array();
    for (const JobEnd& program : end.programs) {
      Json one;
      AddEnd(program, streams, one);
      one["ended_with"] = program.ended_with.has_value() ? Json(*program.ended_with) : Json(nullptr);
      json["programs"].push_back(std::move(one));
    }
  }
  // Paths and details are the machine's, not UTF-8 by any promise; what is not becomes U+FFFD.
  std::string line = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (end.value.has_value()) {
    // It is JSON already. Within a string there is a backslash before each of these quotes.
    constexpr std::string_view kBefore = "\"value\":";
    line.replace(line.find(absl::StrCat(kBefore, "null,\"enforced\":")) + kBefore.size(), std::strlen("null"), *end.value);
  }
  return line;
}

std::string StartedLine(const StartedEvent& event) {
  const Json json = {{"v", kVersion},
                     {"event", "started"},
                     {"id", event.id},
                     {"attempt", event.attempt},
                     {"definition", absl::StrCat(absl::Hex(event.definition, absl::kZeroPad16))},
                     {"start", TimeText(event.start)}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace brood
