#include "serialization/json_value.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "serialization/codec.h"
#include "serialization/value_type.h"

namespace brood {
namespace {

// An object of the second looks for a name from its first to its last: for what is read, others may be as large as they like.
using Input = nlohmann::json;
using Json = nlohmann::ordered_json;
using Kind = ValueType::Kind;

constexpr size_t kMaxShown = 60;

std::string Shown(std::string_view text) {
  return text.size() <= kMaxShown ? std::string(text) : absl::StrCat(text.substr(0, kMaxShown), "...");
}

std::string ShownJson(const Input& json) { return Shown(json.dump(-1, ' ', true, Input::error_handler_t::replace)); }

// Nothing but the library's own check knows what it takes for UTF-8.
bool IsUtf8(const std::string& text) {
  try {
    (void)Input(text).dump();
    return true;
  } catch (const Input::type_error&) {
    return false;
  }
}

absl::StatusOr<Input> Parse(std::string_view text) {
  // The library would keep the last of two fields of one name.
  std::vector<std::set<std::string>> open;
  std::string twice;
  const auto watch = [&](int /*depth*/, Input::parse_event_t event, Input& parsed) {
    if (event == Input::parse_event_t::object_start) open.emplace_back();
    if (event == Input::parse_event_t::object_end) open.pop_back();
    if (event == Input::parse_event_t::key && !open.back().insert(parsed.get<std::string>()).second) twice = parsed;
    return true;
  };
  Input json = Input::parse(text, watch, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    const bool word = !text.empty() && text.find_first_of("\"[{") == std::string_view::npos;
    return absl::InvalidArgumentError(absl::StrCat("not JSON: ", Shown(text), word ? "; a string needs quotes: '\"" : "",
                                                   word ? Shown(text) : "", word ? "\"'" : ""));
  }
  if (!twice.empty()) return absl::InvalidArgumentError(absl::StrCat("has the field \"", Shown(twice), "\" twice"));
  return json;
}

// --- JSON to bytes ---

std::string RangeText(const ValueType& type) {
  if (type.is_signed) {
    const int64_t max = std::numeric_limits<int64_t>::max() >> (64 - type.bits);
    return absl::StrCat(-max - 1, " to ", max);
  }
  return absl::StrCat("0 to ", std::numeric_limits<uint64_t>::max() >> (64 - type.bits));
}

class Encoder {
 public:
  bool Encode(const ValueType& type, const Input& json) {
    if (++depth_ > kMaxDepth) return Fail("is nested too deep");
    const bool ok = EncodeOne(type, json);
    --depth_;
    return ok;
  }

  std::string Take() { return to_.Take(); }
  absl::Status status() const {
    return absl::InvalidArgumentError(path_.empty() ? error_ : absl::StrCat(path_, ": ", error_));
  }

 private:
  static constexpr int kMaxDepth = 150;  // Below that of WireReader.

  bool Fail(std::string error) {
    error_ = std::move(error);
    return false;
  }
  bool Expected(std::string_view what, const Input& json) {
    return Fail(absl::StrCat("expected ", what, ", got ", ShownJson(json)));
  }
  // Leaves `path_` where it is if that fails: it says where.
  bool Inner(std::string_view place, const ValueType& type, const Input& json) {
    const size_t size = path_.size();
    absl::StrAppend(&path_, place);
    if (!Encode(type, json)) return false;
    path_.resize(size);
    return true;
  }

  bool EncodeOne(const ValueType& type, const Input& json) {
    switch (type.kind) {
      case Kind::kBool:
        if (!json.is_boolean()) return Expected("true or false", json);
        Codec<bool>::Encode(json.get<bool>(), to_);
        return true;
      case Kind::kChar:
        if (!json.is_string() || json.get_ref<const std::string&>().size() != 1) return Expected("a string of one byte", json);
        to_.Number(json.get_ref<const std::string&>()[0]);
        return true;
      case Kind::kInteger:
        return Integer(type, json);
      case Kind::kFloat:
      case Kind::kDouble:
        return Floating(type, json);
      case Kind::kString:
        if (json.is_string()) return Text(json.get_ref<const std::string&>());
        return json.is_object() ? Bytes(type, json) : Expected("a string", json);
      case Kind::kBytes:
        return Bytes(type, json);
      case Kind::kNone:
        if (!json.is_null()) return Expected("null", json);
        Codec<std::monostate>::Encode({}, to_);
        return true;
      case Kind::kDuration:
        return Duration(json);
      case Kind::kTime:
        return Time(json);
      case Kind::kOptional:
        Codec<bool>::Encode(!json.is_null(), to_);
        return json.is_null() || Encode(*type.parts[0], json);
      case Kind::kVector:
      case Kind::kSet:
        return List(type, json);
      case Kind::kArray:
      case Kind::kTuple:
        return FixedList(type, json);
      case Kind::kMap:
        return Map(type, json);
      case Kind::kVariant:
        return Variant(type, json);
      case Kind::kStruct:
        return Struct(type, json);
      case Kind::kOuter:
        return Encode(*type.outer, json);
      case Kind::kHandle:
      case Kind::kStatus:
      case Kind::kStatusOr:
        break;
    }
    return Fail(absl::StrCat("a ", type.name, " cannot be written as JSON"));
  }

  bool Integer(const ValueType& type, const Input& json) {
    const std::string expected = absl::StrCat(type.name, " (", RangeText(type), ")");
    if (!json.is_number_integer()) return Expected(expected, json);
    const uint64_t raw = json.is_number_unsigned() ? json.get<uint64_t>() : static_cast<uint64_t>(json.get<int64_t>());
    const bool negative = !json.is_number_unsigned() && json.get<int64_t>() < 0;
    if (type.is_signed) {
      const int64_t max = std::numeric_limits<int64_t>::max() >> (64 - type.bits);
      const bool fits = negative ? static_cast<int64_t>(raw) >= -max - 1 : raw <= static_cast<uint64_t>(max);
      if (!fits) return Expected(expected, json);
    } else if (negative || raw > std::numeric_limits<uint64_t>::max() >> (64 - type.bits)) {
      return Expected(expected, json);
    }
    to_.Raw(&raw, type.bits / 8);  // Little-endian, as all numbers here.
    return true;
  }

  bool Floating(const ValueType& type, const Input& json) {
    double value = 0;
    if (json.is_number()) {
      value = json.get<double>();
    } else if (json == "NaN") {
      value = std::numeric_limits<double>::quiet_NaN();
    } else if (json == "Infinity") {
      value = std::numeric_limits<double>::infinity();
    } else if (json == "-Infinity") {
      value = -std::numeric_limits<double>::infinity();
    } else {
      return Expected("a number", json);
    }
    if (type.kind == Kind::kDouble) {
      to_.Number(value);
      return true;
    }
    if (std::isfinite(value) && !std::isfinite(static_cast<float>(value))) return Expected("a float", json);
    to_.Number(static_cast<float>(value));
    return true;
  }

  bool Text(std::string_view text) {
    Codec<std::string>::Encode(text, to_);
    return true;
  }

  bool Bytes(const ValueType& type, const Input& json) {
    const std::string expected = type.kind == Kind::kString ? "a string, or {\"base64\": \"...\"}"
                                                            : "{\"base64\": \"...\"} or {\"text\": \"...\"}";
    if (!json.is_object() || json.size() != 1 || !json.front().is_string()) return Expected(expected, json);
    const std::string& text = json.front().get_ref<const std::string&>();
    if (json.contains("text") && type.kind == Kind::kBytes) return Text(text);
    std::string bytes;
    if (!json.contains("base64")) return Expected(expected, json);
    if (!absl::Base64Unescape(text, &bytes)) return Expected("base64", json.front());
    return Text(bytes);
  }

  bool Duration(const Input& json) {
    absl::Duration value;
    if (json.is_number()) {
      value = absl::Seconds(json.get<double>());
    } else if (!json.is_string() || !absl::ParseDuration(json.get_ref<const std::string&>(), &value)) {
      return Expected("a duration (\"1.5s\", \"2m\", seconds)", json);
    }
    Codec<absl::Duration>::Encode(value, to_);
    return true;
  }

  bool Time(const Input& json) {
    absl::Time value;
    std::string error;
    if (!json.is_string() || !absl::ParseTime(absl::RFC3339_full, json.get_ref<const std::string&>(), &value, &error)) {
      return Expected("a time (\"2026-11-28T00:00:00Z\")", json);
    }
    Codec<absl::Time>::Encode(value, to_);
    return true;
  }

  bool List(const ValueType& type, const Input& json) {
    if (!json.is_array()) return Expected(type.name, json);
    to_.Count(json.size());
    std::set<std::string> seen;
    for (size_t i = 0; i < json.size(); ++i) {
      const size_t begin = to_.size();
      if (!Inner(absl::StrCat("[", i, "]"), *type.parts[0], json[i])) return false;
      if (type.kind == Kind::kSet && !seen.emplace(to_.bytes().substr(begin)).second) {
        return Fail(absl::StrCat("has ", ShownJson(json[i]), " twice"));
      }
    }
    return true;
  }

  bool FixedList(const ValueType& type, const Input& json) {
    const size_t count = type.kind == Kind::kArray ? type.count : type.parts.size();
    if (!json.is_array() || json.size() != count) return Expected(absl::StrCat(type.name, " (", count, " elements)"), json);
    if (count == 0) to_.Number(uint8_t{0});
    for (size_t i = 0; i < count; ++i) {
      if (!Inner(absl::StrCat("[", i, "]"), *type.parts[type.kind == Kind::kArray ? 0 : i], json[i])) return false;
    }
    return true;
  }

  bool Map(const ValueType& type, const Input& json) {
    if (type.parts[0]->kind == Kind::kString && !json.is_array()) {
      if (!json.is_object()) return Expected(absl::StrCat(type.name, ", an object"), json);
      to_.Count(json.size());
      for (const auto& [name, value] : json.items()) {
        Text(name);
        if (!Inner(absl::StrCat(".", name), *type.parts[1], value)) return false;
      }
      return true;
    }
    if (!json.is_array()) return Expected(absl::StrCat(type.name, ", a list of [key, value]"), json);
    to_.Count(json.size());
    std::set<std::string> seen;
    for (size_t i = 0; i < json.size(); ++i) {
      const Input& entry = json[i];
      if (!entry.is_array() || entry.size() != 2) return Expected("[key, value]", entry);
      const size_t begin = to_.size();
      if (!Inner(absl::StrCat("[", i, "][0]"), *type.parts[0], entry[0])) return false;
      if (!seen.emplace(to_.bytes().substr(begin)).second) return Fail(absl::StrCat("has the key ", ShownJson(entry[0]), " twice"));
      if (!Inner(absl::StrCat("[", i, "][1]"), *type.parts[1], entry[1])) return false;
    }
    return true;
  }

  bool Variant(const ValueType& type, const Input& json) {
    const size_t begin = to_.size();
    const size_t path = path_.size();
    const int depth = depth_;
    for (size_t i = 0; i < type.parts.size(); ++i) {
      to_.Number(static_cast<uint8_t>(i));
      if (Encode(*type.parts[i], json)) return true;
      to_.Truncate(begin);
      path_.resize(path);
      depth_ = depth;
    }
    return Expected(type.name, json);
  }

  bool Struct(const ValueType& type, const Input& json) {
    if (!json.is_object()) return Expected(absl::StrCat(type.name, ", an object"), json);
    to_.Number('{');
    for (size_t i = 0; i < type.fields.size(); ++i) {
      const auto field = json.find(type.fields[i]);
      if (field == json.end()) return Fail(absl::StrCat("has no field \"", type.fields[i], "\" of ", type.name));
      if (!Inner(absl::StrCat(".", type.fields[i]), *type.parts[i], *field)) return false;
    }
    for (const auto& [name, value] : json.items()) {
      bool known = false;
      for (const std::string& field : type.fields) known = known || field == name;
      if (!known) return Fail(absl::StrCat("has a field \"", Shown(name), "\", which ", type.name, " has not"));
    }
    return true;
  }

  WireWriter to_;
  int depth_ = 0;
  std::string path_;
  std::string error_;
};

// --- Bytes to JSON ---

class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : from_(bytes) {}

  bool Decode(const ValueType& type, Json& json) {
    constexpr size_t kNode = 32;
    if (!Spend(kNode) || !from_.Enter() || !DecodeOne(type, json)) return false;
    from_.Leave();
    return true;
  }

  bool AtEnd() const { return from_.AtEnd(); }
  absl::Status status() const {
    if (!error_.ok()) return error_;
    return from_.status().ok() ? absl::DataLossError("has bytes left over") : from_.status();
  }

 private:
  template <typename T>
  bool As(Json& json) {
    T value{};
    if (!Codec<T>::Decode(from_, value)) return false;
    json = value;
    return true;
  }

  // A child chooses type and bytes: what takes one byte there, an object with long names say, may take thousands here.
  bool Spend(size_t bytes) {
    constexpr size_t kMaxMemory = size_t{512} << 20;
    spent_ += bytes;
    if (spent_ <= kMaxMemory) return true;
    error_ = absl::ResourceExhaustedError("takes too much memory as JSON");
    return false;
  }

  bool DecodeOne(const ValueType& type, Json& json) {
    switch (type.kind) {
      case Kind::kBool:
        return As<bool>(json);
      case Kind::kChar: {
        char value = 0;
        if (!from_.Number(value)) return false;
        json = TextOrBase64(std::string(1, value));
        return true;
      }
      case Kind::kInteger:
        return Integer(type, json);
      case Kind::kFloat:
      case Kind::kDouble:
        return Floating(type, json);
      case Kind::kString:
      case Kind::kBytes: {
        std::string text;
        if (!Codec<std::string>::Decode(from_, text)) return false;
        json = type.kind == Kind::kString ? TextOrBase64(text) : Json({{"base64", absl::Base64Escape(text)}});
        return true;
      }
      case Kind::kNone: {
        std::monostate none;
        json = nullptr;
        return Codec<std::monostate>::Decode(from_, none);
      }
      case Kind::kStatus: {
        absl::Status value;
        if (!Codec<absl::Status>::Decode(from_, value)) return false;
        json = StatusJson(value);
        return true;
      }
      case Kind::kDuration: {
        absl::Duration value;
        if (!Codec<absl::Duration>::Decode(from_, value)) return false;
        json = absl::FormatDuration(value);
        return true;
      }
      case Kind::kTime: {
        absl::Time value;
        if (!Codec<absl::Time>::Decode(from_, value)) return false;
        json = absl::FormatTime(absl::RFC3339_full, value, absl::UTCTimeZone());
        return true;
      }
      case Kind::kOptional: {
        bool present = false;
        if (!Codec<bool>::Decode(from_, present)) return false;
        json = nullptr;
        return !present || Decode(*type.parts[0], json);
      }
      case Kind::kStatusOr:
        return StatusOrValue(type, json);
      case Kind::kVector:
      case Kind::kSet: {
        size_t count = 0;
        if (!Spend(kContainer) || !from_.Count(1, count)) return false;
        json = Json::array();
        return Elements(count, type, json);
      }
      case Kind::kArray:
      case Kind::kTuple:
        return FixedList(type, json);
      case Kind::kMap:
        return Map(type, json);
      case Kind::kVariant: {
        uint8_t index = 0;
        if (!from_.Number(index)) return false;
        if (index >= type.parts.size()) return from_.Fail("has an unknown alternative of a variant");
        return Decode(*type.parts[index], json);
      }
      case Kind::kStruct:
        return Struct(type, json);
      case Kind::kOuter:
        return Decode(*type.outer, json);
      case Kind::kHandle:
        break;
    }
    error_ = absl::InvalidArgumentError(absl::StrCat("a ", type.name, " cannot be written as JSON"));
    return false;
  }

  static Json TextOrBase64(const std::string& text) {
    return IsUtf8(text) ? Json(text) : Json({{"base64", absl::Base64Escape(text)}});
  }

  static Json StatusJson(const absl::Status& status) {
    return {{"code", absl::StatusCodeToString(status.code())}, {"message", TextOrBase64(std::string(status.message()))}};
  }

  bool Integer(const ValueType& type, Json& json) {
    std::string_view bytes;
    if (!from_.Raw(type.bits / 8, bytes)) return false;
    uint64_t raw = 0;
    std::memcpy(&raw, bytes.data(), bytes.size());
    if (!type.is_signed) {
      json = raw;
      return true;
    }
    const unsigned unused = 64 - type.bits;
    json = static_cast<int64_t>(raw << unused) >> unused;
    return true;
  }

  bool Floating(const ValueType& type, Json& json) {
    double value = 0;
    if (type.kind == Kind::kDouble) {
      if (!from_.Number(value)) return false;
    } else {
      float number = 0;
      if (!from_.Number(number)) return false;
      // As double it would be written with digits that nobody has given: 0.1 as 0.10000000149011612.
      char digits[32] = {};
      std::to_chars(digits, digits + sizeof(digits) - 1, number);
      value = std::isfinite(number) ? std::strtod(digits, nullptr) : static_cast<double>(number);
    }
    json = value;
    if (std::isnan(value)) json = "NaN";
    if (std::isinf(value)) json = value > 0 ? "Infinity" : "-Infinity";
    return true;
  }

  bool StatusOrValue(const ValueType& type, Json& json) {
    bool ok = false;
    if (!Codec<bool>::Decode(from_, ok)) return false;
    if (ok) return Decode(*type.parts[0], json);
    absl::Status status;
    if (!Codec<absl::Status>::Decode(from_, status)) return false;
    json = StatusJson(status);
    return true;
  }

  bool Elements(size_t count, const ValueType& type, Json& json) {
    for (size_t i = 0; i < count; ++i) {
      Json element;
      if (!Decode(*type.parts[type.kind == Kind::kTuple ? i : 0], element)) return false;
      json.push_back(std::move(element));
    }
    return true;
  }

  bool FixedList(const ValueType& type, Json& json) {
    const size_t count = type.kind == Kind::kArray ? type.count : type.parts.size();
    if (!Spend(kContainer)) return false;
    json = Json::array();
    uint8_t placeholder = 0;
    return count == 0 ? from_.Number(placeholder) : Elements(count, type, json);
  }

  bool Map(const ValueType& type, Json& json) {
    size_t count = 0;
    if (!Spend(kContainer) || !from_.Count(2, count)) return false;
    // A name in an object must be text.
    bool all_text = type.parts[0]->kind == Kind::kString;
    std::vector<std::pair<Json, Json>> entries;
    for (size_t i = 0; i < count; ++i) {
      auto& [key, value] = entries.emplace_back();
      if (!Spend(kField) || !Decode(*type.parts[0], key) || !Decode(*type.parts[1], value)) return false;
      all_text = all_text && key.is_string();
    }
    json = all_text ? Json::object() : Json::array();
    std::set<std::string> names;
    for (auto& [key, value] : entries) {
      if (!all_text) {
        json.push_back(Json::array({std::move(key), std::move(value)}));
        continue;
      }
      std::string name = key.get<std::string>();
      if (!names.insert(name).second) return from_.Fail("has a key twice");
      // Without the object's own look at all others, whether it has the name.
      json.get_ref<Json::object_t&>().emplace_back(std::move(name), std::move(value));
    }
    return true;
  }

  bool Struct(const ValueType& type, Json& json) {
    char mark = 0;
    if (!Spend(kContainer) || !from_.Number(mark)) return false;
    if (mark != '{') return from_.Fail("has something else where a struct should be");
    json = Json::object();
    for (size_t i = 0; i < type.fields.size(); ++i) {
      Json field;
      if (!Spend(kField + type.fields[i].size()) || !Decode(*type.parts[i], field)) return false;
      json.get_ref<Json::object_t&>().emplace_back(type.fields[i], std::move(field));
    }
    return true;
  }

  static constexpr size_t kContainer = 96;
  static constexpr size_t kField = 96;

  WireReader from_;
  size_t spent_ = 0;
  absl::Status error_;
};

absl::StatusOr<TypedValue> Convert(const ValueType& type, std::string_view text) {
  BROOD_ASSIGN_OR_RETURN(const Input json, Parse(text));
  Encoder encoder;
  if (!encoder.Encode(type, json)) return encoder.status();
  return TypedValue{.type = type.name, .bytes = encoder.Take(), .handles = {}};
}

}  // namespace

absl::StatusOr<TypedValue> ValueFromJson(std::string_view type, std::string_view json) {
  BROOD_ASSIGN_OR_RETURN(const std::unique_ptr<ValueType> tree, ParseValueType(type));
  return Convert(*tree, json);
}

absl::StatusOr<std::string> JsonText(const TypedValue& value) {
  BROOD_ASSIGN_OR_RETURN(const std::unique_ptr<ValueType> type, ParseValueType(value.type));
  Decoder decoder(value.bytes);
  Json json;
  if (!decoder.Decode(*type, json) || !decoder.AtEnd()) return Annotate(decoder.status(), absl::StrCat("a ", value.type));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::Status ReadJsonArguments(std::string_view signature, std::string_view json_type,
                               std::vector<TypedValue>& arguments) {
  BROOD_ASSIGN_OR_RETURN(const auto parameters, ParseParameters(signature));
  if (parameters.size() != arguments.size()) {
    return absl::InvalidArgumentError(absl::StrCat("expected ", parameters.size(), parameters.size() == 1 ? " argument" : " arguments",
                                                   ", got ", arguments.size(), "; it takes ", signature.substr(0, signature.find("->"))));
  }
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].type != json_type) continue;
    absl::StatusOr<TypedValue> value = Convert(*parameters[i], arguments[i].bytes);
    if (!value.ok()) {
      const std::string_view error = value.status().message();
      const bool has_place = absl::StartsWith(error, "[") || absl::StartsWith(error, ".");
      return absl::InvalidArgumentError(absl::StrCat("argument ", i + 1, has_place ? "" : ": ", error));
    }
    arguments[i] = *std::move(value);
  }
  return absl::OkStatus();
}

}  // namespace brood
