// JSON that people write, turned into the wire form that its schema defines, field by field. What the values mean is
// for the decoder of that form to say.
//
//   TableReader in(object, &builder);
//   const auto table = fbs::CreateNetwork(builder, in.Text("mode"), in.Texts("to"));
//   BROOD_RETURN_IF_ERROR(in.Finish());
#ifndef BROOD_BATCH_JSON_TABLE_H_
#define BROOD_BATCH_JSON_TABLE_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "batch/json.h"
#include "flatbuffers/flatbuffers.h"

namespace brood {

namespace fbs {
struct Limits;
}  // namespace fbs

// Reads one object's fields into the wire form; the first error wins and later reads do nothing.
class TableReader {
 public:
  using Builder = flatbuffers::FlatBufferBuilder;
  using TextOffset = flatbuffers::Offset<flatbuffers::String>;
  using TextsOffset = flatbuffers::Offset<flatbuffers::Vector<TextOffset>>;

  TableReader(JsonObject object, Builder* builder) : object_(std::move(object)), builder_(*builder) {}

  TextOffset Text(std::string_view name) { return Write(object_.String(name)); }
  TextOffset TextOrNumber(std::string_view name) { return Write(object_.Scalar(name)); }

  TextsOffset Texts(std::string_view name) {
    const auto texts = Keep(object_.Strings(name));
    return texts.has_value() ? builder_.CreateVectorOfStrings(*texts) : 0;
  }

  // A list of values of any kind, each as its JSON text.
  TextsOffset JsonTexts(std::string_view name) {
    const JsonValue* value = status_.ok() ? object_.Find(name) : nullptr;
    if (value == nullptr) return 0;
    if (value->kind != JsonValue::Kind::kArray) {
      status_ = object_.Error(name, absl::StrCat("expected a list, got ", JsonKindName(*value)));
      return 0;
    }
    std::vector<std::string> texts;
    for (const JsonValue& item : value->items) texts.push_back(JsonTextOf(item));
    return builder_.CreateVectorOfStrings(texts);
  }

  flatbuffers::Optional<bool> Flag(std::string_view name) {
    const auto flag = Keep(object_.Bool(name));
    return flag.has_value() ? flatbuffers::Optional<bool>(*flag) : flatbuffers::nullopt;
  }

  flatbuffers::Optional<uint64_t> Count(std::string_view name) {
    const auto count = Keep(object_.Unsigned(name));
    return count.has_value() ? flatbuffers::Optional<uint64_t>(*count) : flatbuffers::nullopt;
  }

  // A list of numbers of 32 bits. What does not fit is the largest, which the decoder refuses.
  flatbuffers::Offset<flatbuffers::Vector<uint32_t>> Numbers(std::string_view name) {
    const JsonValue* value = status_.ok() ? object_.Find(name) : nullptr;
    if (value == nullptr) return 0;
    std::vector<uint32_t> numbers;
    bool good = value->kind == JsonValue::Kind::kArray;
    for (const JsonValue& item : value->items) {
      uint64_t number = 0;
      good = good && item.kind == JsonValue::Kind::kNumber && absl::SimpleAtoi(item.text, &number);
      numbers.push_back(static_cast<uint32_t>(std::min<uint64_t>(number, ~uint32_t{0})));
    }
    if (good) return builder_.CreateVector(numbers);
    status_ = object_.Error(name, absl::StrCat("expected a list of numbers, got ", JsonTextOf(*value)));
    return 0;
  }

  // The table of a field that is an object, written by `write(TableReader&)`.
  template <typename Fbs, typename Write>
  flatbuffers::Offset<Fbs> Table(std::string_view name, Write write) {
    const JsonValue* value = status_.ok() ? object_.Find(name) : nullptr;
    if (value == nullptr) return 0;
    return Nested<Fbs>(*value, object_.PathOf(name), write);
  }

  // The tables of a field that is a list of objects.
  template <typename Fbs, typename Write>
  flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<Fbs>>> Tables(std::string_view name, Write write) {
    const JsonValue* value = status_.ok() ? object_.Find(name) : nullptr;
    if (value == nullptr) return 0;
    if (value->kind != JsonValue::Kind::kArray) {
      status_ = object_.Error(name, absl::StrCat("expected a list, got ", JsonKindName(*value)));
      return 0;
    }
    std::vector<flatbuffers::Offset<Fbs>> tables;
    for (size_t i = 0; i < value->items.size() && status_.ok(); ++i) {
      tables.push_back(Nested<Fbs>(value->items[i], absl::StrCat(object_.PathOf(name), "[", i, "]"), write));
    }
    // The builder must not be given the table that could not be written.
    return status_.ok() ? builder_.CreateVector(tables) : 0;
  }

  // The tables of a field that is a list of strings, each written by `write(builder, text)`.
  template <typename Fbs, typename Write>
  flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<Fbs>>> TextTables(std::string_view name, Write write) {
    const auto texts = Keep(object_.Strings(name));
    if (!texts.has_value()) return 0;
    std::vector<flatbuffers::Offset<Fbs>> tables;
    for (const std::string& text : *texts) tables.push_back(write(builder_, text));
    return builder_.CreateVector(tables);
  }

  Builder& builder() { return builder_; }
  absl::Status Finish() { return status_.ok() ? object_.Finish() : status_; }

 private:
  template <typename T>
  std::optional<T> Keep(absl::StatusOr<std::optional<T>> value) {
    if (value.ok()) return *std::move(value);
    status_.Update(value.status());
    return std::nullopt;
  }

  TextOffset Write(absl::StatusOr<std::optional<std::string>> text) {
    const auto kept = Keep(std::move(text));
    return kept.has_value() ? builder_.CreateString(*kept) : 0;
  }

  template <typename Fbs, typename Write>
  flatbuffers::Offset<Fbs> Nested(const JsonValue& value, const std::string& path, Write write) {
    absl::StatusOr<JsonObject> object = JsonObject::Of(value, object_.file(), path);
    if (!object.ok()) {
      status_.Update(object.status());
      return 0;
    }
    TableReader reader(*std::move(object), &builder_);
    const flatbuffers::Offset<Fbs> table = write(reader);
    status_.Update(reader.Finish());
    return table;
  }

  JsonObject object_;
  Builder& builder_;
  absl::Status status_;
};

// The limits of a policy or of a job.
flatbuffers::Offset<fbs::Limits> WriteJsonLimits(TableReader& in);

}  // namespace brood

#endif  // BROOD_BATCH_JSON_TABLE_H_
