// The reading half of result_json.h. Lenient: a journal may have been written by a newer version, or by hand.
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "batch/result_json.h"
#include "sandbox/layer.h"

namespace brood {
namespace {

using Json = nlohmann::json;

// The library's own getters throw where a field has another type.
const Json* Find(const Json& json, const char* name) {
  if (!json.is_object()) return nullptr;
  const auto field = json.find(name);
  return field == json.end() ? nullptr : &*field;
}

std::string Text(const Json& json, const char* name) {
  const Json* field = Find(json, name);
  return field != nullptr && field->is_string() ? field->get<std::string>() : "";
}

uint64_t Unsigned(const Json& json, const char* name) {
  const Json* field = Find(json, name);
  return field != nullptr && field->is_number_unsigned() ? field->get<uint64_t>() : 0;
}

int64_t Integer(const Json& json, const char* name, int64_t absent = 0) {
  const Json* field = Find(json, name);
  return field != nullptr && field->is_number_integer() ? field->get<int64_t>() : absent;
}

bool Flag(const Json& json, const char* name) {
  const Json* field = Find(json, name);
  return field != nullptr && field->is_boolean() && field->get<bool>();
}

absl::Duration Seconds(const Json& json, const char* name) {
  const Json* field = Find(json, name);
  if (field == nullptr || !field->is_number()) return absl::ZeroDuration();
  // Rounded: 1.234 is not a double, and truncation would give 1.233999999.
  constexpr double kNanoseconds = 1e9;
  return absl::Nanoseconds(std::round(field->get<double>() * kNanoseconds));
}

absl::Time Time(const Json& json, const char* name, absl::Time absent) {
  absl::Time time;
  std::string error;
  return absl::ParseTime(absl::RFC3339_full, Text(json, name), &time, &error) ? time : absent;
}

uint64_t Hexadecimal(const std::string& text) {
  uint64_t value = 0;
  std::string_view digits = text;
  return absl::ConsumePrefix(&digits, "0x") && absl::SimpleHexAtoi(digits, &value) ? value : 0;
}

Violation ReadViolation(const Json& json) {
  Violation violation;
  violation.syscall = Text(json, "syscall");
  violation.number = Integer(json, "nr", -1);
  if (const Json* args = Find(json, "args"); args != nullptr && args->is_array()) {
    for (size_t i = 0; i < args->size() && i < violation.args.size(); ++i) {
      if ((*args)[i].is_string()) violation.args[i] = Hexadecimal((*args)[i].get<std::string>());
    }
  }
  violation.arch = Text(json, "arch");
  violation.tid = Integer(json, "tid");
  violation.instruction_pointer = Hexadecimal(Text(json, "ip"));
  if (const Json* stack = Find(json, "stack"); stack != nullptr && stack->is_array()) {
    for (const Json& frame : *stack) {
      if (!frame.is_object()) continue;
      violation.stack.push_back({.address = Hexadecimal(Text(frame, "ip")),
                                 .function = Text(frame, "function"),
                                 .offset = Hexadecimal(Text(frame, "offset")),
                                 .file = Text(frame, "file")});
    }
  }
  violation.stack_end = Text(json, "stack_end");
  if (const Json* decoded = Find(json, "decoded"); decoded != nullptr && decoded->is_array()) {
    for (const Json& text : *decoded) violation.decoded.push_back(text.is_string() ? text.get<std::string>() : "");
  }
  return violation;
}

std::vector<Notified> ReadNotified(const Json* json) {
  std::vector<Notified> list;
  if (json == nullptr || !json->is_array()) return list;
  for (const Json& entry : *json) {
    if (!entry.is_object()) continue;
    Notified notified{.syscall = Text(entry, "syscall"), .number = Integer(entry, "nr", -1), .count = Unsigned(entry, "count")};
    if (const Json* args = Find(entry, "first_args"); args != nullptr && args->is_array()) {
      for (size_t i = 0; i < args->size() && i < notified.first_args.size(); ++i) {
        if ((*args)[i].is_string()) notified.first_args[i] = Hexadecimal((*args)[i].get<std::string>());
      }
    }
    list.push_back(std::move(notified));
  }
  return list;
}

int ReadError(const Json& json, const char* name) {
  const std::string error = Text(json, name);
  int number = SystemErrorFromName(error);
  // As SystemErrorName writes one that has no name.
  std::string_view digits = error;
  if (absl::ConsumePrefix(&digits, "errno ") && !absl::SimpleAtoi(digits, &number)) number = 0;
  return number;
}

SetupFailed ReadSetup(const Json& json) {
  return {.step = Text(json, "step"), .error_number = ReadError(json, "errno"), .detail = Text(json, "detail")};
}

std::vector<Layer> ReadLayers(const Json* names) {
  std::vector<Layer> layers;
  if (names == nullptr || !names->is_array()) return layers;
  for (const Json& name : *names) {
    if (!name.is_string()) continue;
    if (const std::optional<Layer> layer = LayerFromName(name.get<std::string>())) layers.push_back(*layer);
  }
  return layers;
}

// The limit that ended it stands first in `limits_hit`; its status tells less.
LimitHit ReadLimit(const Outcome& outcome, Layer usual) {
  return {.limit = outcome.limits_hit.empty() ? usual : outcome.limits_hit.front()};
}

void ReadEnding(const Json& json, const std::string& status, Outcome& outcome) {
  if (status == "ok" || status == "failed") {
    outcome.ending = Exited{Integer(json, "exit_code", status == "ok" ? 0 : 1)};
  } else if (status == "signaled") {
    outcome.ending = Signaled{static_cast<int>(Integer(json, "signal")), Flag(json, "core")};
  } else if (status == "timeout") {
    outcome.ending = TimedOut{};
  } else if (status == "memory") {
    outcome.ending = LimitHit{Layer::kMemory};
  } else if (status == "cpu") {
    outcome.ending = LimitHit{Layer::kCpuTime};
  } else if (status == "output") {
    outcome.ending = ReadLimit(outcome, Layer::kOutput);
  } else if (status == "violation") {
    const Json* violation = Find(json, "violation");
    outcome.ending = violation != nullptr ? ReadViolation(*violation) : Violation{.syscall = "unknown"};
  } else if (status == "setup_failed") {
    const Json* setup = Find(json, "setup");
    outcome.ending = setup != nullptr ? ReadSetup(*setup) : SetupFailed{};
  } else {
    outcome.ending = Lost{Text(json, "reason")};
  }
}

JobStream ReadStream(const Json& json, const char* name) {
  JobStream stream;
  const Json* from = Find(json, name);
  if (from == nullptr) return stream;
  stream.path = Text(*from, "path");
  stream.content = Text(*from, "text");
  if (const std::string encoded = Text(*from, "base64"); !encoded.empty())
    absl::Base64Unescape(encoded, &stream.content);
  stream.bytes = Unsigned(*from, "bytes");
  stream.truncated = Flag(*from, "truncated");
  stream.error_number = ReadError(*from, "error");
  return stream;
}

// The id and the attempt, which every line of a journal has. Also false for what is no JSON object.
bool ReadId(const Json& json, std::string& id, int& attempt) {
  const Json* found_id = Find(json, "id");
  const Json* found_attempt = Find(json, "attempt");
  if (found_id == nullptr || !found_id->is_string()) return false;
  if (found_attempt == nullptr || !found_attempt->is_number_integer()) return false;
  id = found_id->get<std::string>();
  attempt = found_attempt->get<int>();
  return true;
}

}  // namespace

std::optional<ReadResult> ParseResult(std::string_view line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  ReadResult result;
  const Json* status = Find(json, "status");
  if (!ReadId(json, result.id, result.attempt) || status == nullptr || !status->is_string()) return std::nullopt;
  result.status = status->get<std::string>();
  Outcome& outcome = result.end.outcome;
  outcome.limits_hit = ReadLayers(Find(json, "limits_hit"));
  ReadEnding(json, result.status, outcome);
  outcome.start = Time(json, "start", absl::InfinitePast());
  outcome.usage = {.wall_time = Seconds(json, "wall_s"),
                   .cpu_time = Seconds(json, "cpu_s"),
                   .memory_peak_bytes = Unsigned(json, "memory_peak_bytes"),
                   .max_rss_bytes = Unsigned(json, "max_rss_bytes")};
  if (const Json* enforced = Find(json, "enforced"); enforced != nullptr && enforced->is_object()) {
    for (const auto& [name, by_what] : enforced->items()) {
      const std::optional<Layer> layer = LayerFromName(name);
      if (layer.has_value() && by_what.is_string()) outcome.enforced[*layer] = by_what.get<std::string>();
    }
  }
  if (const Json* groups = Find(json, "kept_groups"); groups != nullptr && groups->is_array()) {
    for (const Json& group : *groups) {
      if (group.is_number_integer()) outcome.kept_groups.push_back(group.get<int64_t>());
    }
  }
  if (const Json* value = Find(json, "value"); value != nullptr && !value->is_null()) {
    result.end.value = value->dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  outcome.notified = ReadNotified(Find(json, "notified"));
  if (const Json* copied = Find(json, "copied"); copied != nullptr && copied->is_array()) {
    for (const Json& entry : *copied) {
      if (!entry.is_object()) continue;
      outcome.copied.push_back({Text(entry, "from"), Text(entry, "to"), Unsigned(entry, "bytes"), Text(entry, "problem")});
    }
  }
  if (const Json* refused = Find(json, "refused"); refused != nullptr && refused->is_array()) {
    for (const Json& entry : *refused) {
      if (entry.is_object()) outcome.refused.push_back({Text(entry, "to"), Unsigned(entry, "count")});
    }
  }
  result.end.stdout_stream = ReadStream(json, "stdout");
  result.end.stderr_stream = ReadStream(json, "stderr");
  outcome.stdout_result = {result.end.stdout_stream.bytes, result.end.stdout_stream.truncated, result.end.stdout_stream.error_number};
  outcome.stderr_result = {result.end.stderr_stream.bytes, result.end.stderr_stream.truncated, result.end.stderr_stream.error_number};
  return result;
}

std::optional<StartedEvent> ParseStarted(std::string_view line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  StartedEvent event;
  if (Text(json, "event") != "started" || !ReadId(json, event.id, event.attempt)) return std::nullopt;
  if (!absl::SimpleHexAtoi(Text(json, "definition"), &event.definition)) event.definition = 0;
  event.start = Time(json, "start", absl::InfinitePast());
  return event;
}

}  // namespace brood
