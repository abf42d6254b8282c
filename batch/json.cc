#include "batch/json.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "batch/suggest.h"

namespace brood {

std::string_view JsonKindName(const JsonValue& value) {
  switch (value.kind) {
    case JsonValue::Kind::kNull:
      return "null";
    case JsonValue::Kind::kBool:
      return "a truth value";
    case JsonValue::Kind::kNumber:
      return "a number";
    case JsonValue::Kind::kString:
      return "a string";
    case JsonValue::Kind::kArray:
      return "a list";
    case JsonValue::Kind::kObject:
      return "an object";
  }
  return "a value";
}

absl::Status JsonError(std::string_view file, int line, std::string_view field, std::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat(file, ":", line, ": field \"", field, "\": ", problem));
}

JsonObject::JsonObject(const JsonValue& value, std::string file, std::string path)
    : value_(&value), file_(std::move(file)), path_(std::move(path)) {}

absl::StatusOr<JsonObject> JsonObject::Of(const JsonValue& value, std::string file, std::string path) {
  if (value.kind == JsonValue::Kind::kObject) return JsonObject(value, std::move(file), std::move(path));
  const std::string problem = absl::StrCat("expected an object, got ", JsonKindName(value));
  if (!path.empty()) return JsonError(file, value.line, path, problem);
  return absl::InvalidArgumentError(absl::StrCat(file, ":", value.line, ": ", problem));
}

std::string JsonObject::PathOf(std::string_view name) const {
  return path_.empty() ? std::string(name) : absl::StrCat(path_, ".", name);
}

absl::Status JsonObject::Error(std::string_view name, std::string_view problem) const {
  int line = value_->line;
  for (const JsonMember& member : value_->members) {
    if (member.name == name) line = member.line;
  }
  return JsonError(file_, line, PathOf(name), problem);
}

const JsonValue* JsonObject::Find(std::string_view name) {
  known_.emplace_back(name);
  for (const JsonMember& member : value_->members) {
    if (member.name == name) return member.value.kind == JsonValue::Kind::kNull ? nullptr : &member.value;
  }
  return nullptr;
}

absl::StatusOr<std::optional<std::string>> JsonObject::String(std::string_view name) {
  const JsonValue* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->kind != JsonValue::Kind::kString) {
    return Error(name, absl::StrCat("expected a string, got ", JsonKindName(*value)));
  }
  if (value->text.find('\0') != std::string::npos) return Error(name, "expected a string without NUL characters");
  return value->text;
}

absl::StatusOr<std::optional<std::vector<std::string>>> JsonObject::Strings(std::string_view name) {
  const JsonValue* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->kind != JsonValue::Kind::kArray) {
    return Error(name, absl::StrCat("expected a list of strings, got ", JsonKindName(*value)));
  }
  std::vector<std::string> strings;
  for (size_t i = 0; i < value->items.size(); ++i) {
    const JsonValue& item = value->items[i];
    const std::string field = absl::StrCat(PathOf(name), "[", i, "]");
    if (item.kind != JsonValue::Kind::kString) {
      return JsonError(file_, item.line, field, absl::StrCat("expected a string, got ", JsonKindName(item)));
    }
    if (item.text.find('\0') != std::string::npos) {
      return JsonError(file_, item.line, field, "expected a string without NUL characters");
    }
    strings.push_back(item.text);
  }
  return strings;
}

absl::StatusOr<std::optional<bool>> JsonObject::Bool(std::string_view name) {
  const JsonValue* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->kind != JsonValue::Kind::kBool) {
    return Error(name, absl::StrCat("expected true or false, got ", JsonKindName(*value)));
  }
  return value->boolean;
}

absl::StatusOr<std::optional<uint64_t>> JsonObject::Unsigned(std::string_view name) {
  const JsonValue* value = Find(name);
  if (value == nullptr) return std::nullopt;
  uint64_t number = 0;
  if (value->kind != JsonValue::Kind::kNumber || !absl::SimpleAtoi(value->text, &number)) {
    return Error(name, absl::StrCat("expected a whole number from 0, got ",
                                    value->kind == JsonValue::Kind::kNumber ? value->text : JsonKindName(*value)));
  }
  return number;
}

absl::StatusOr<std::optional<std::string>> JsonObject::Scalar(std::string_view name) {
  const JsonValue* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->kind != JsonValue::Kind::kString && value->kind != JsonValue::Kind::kNumber) {
    return Error(name, absl::StrCat("expected a string or a number, got ", JsonKindName(*value)));
  }
  return value->text;
}

absl::Status JsonObject::Finish() const {
  for (const JsonMember& member : value_->members) {
    if (std::find(known_.begin(), known_.end(), member.name) != known_.end()) continue;
    return Error(member.name, absl::StrCat("unknown", DidYouMean(member.name, known_)));
  }
  return absl::OkStatus();
}

}  // namespace brood
