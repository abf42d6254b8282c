// JSON that people write, parsed so that every error can name its line and field.
//
//   BROOD_ASSIGN_OR_RETURN(JsonValue value, ParseJson(text, {.file = "jobs.jsonl", .first_line = 3}));
//   BROOD_ASSIGN_OR_RETURN(JsonObject job, JsonObject::Of(value, "jobs.jsonl", ""));
//   BROOD_ASSIGN_OR_RETURN(std::optional<std::string> id, job.String("id"));
//   BROOD_RETURN_IF_ERROR(job.Finish());    // jobs.jsonl:3: field "idd": unknown; did you mean "id"?
//
// A value tree of its own keeps the JSON library in one source file, and keeps the line of each value, which the
// library forgets. Not a general JSON type.
#ifndef BROOD_BATCH_JSON_H_
#define BROOD_BATCH_JSON_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace brood {

struct JsonMember;

struct JsonValue {
  enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  bool boolean = false;
  std::string text;                 // kString: the value. kNumber: its digits.
  std::vector<JsonValue> items;     // kArray.
  std::vector<JsonMember> members;  // kObject, in the order of the text; names are unique.
  int line = 0;                     // Of the value's last character in its file.
};

struct JsonMember {
  std::string name;
  int line = 0;  // Of the name.
  JsonValue value;
};

struct JsonSource {
  std::string file;    // For messages.
  int first_line = 1;  // Of the text in that file.
};

// Parses one value. Comments (// and /* */) are allowed.
//
// Errors: InvalidArgument "FILE:LINE:COLUMN: ..." for what is not JSON, for a name given twice in one object, and for
//   nesting deeper than 64.
absl::StatusOr<JsonValue> ParseJson(std::string_view text, const JsonSource& source);

// The value as JSON on one line, numbers with the digits that they were written with.
std::string JsonTextOf(const JsonValue& value);

// Reads the fields of one object and reports what is wrong as `FILE:LINE: field "limits.memory": expected ...`.
// Borrows the value. Each field that a getter was asked for is known; Finish refuses the others.
class JsonObject {
 public:
  // `path` is the field that holds the object, "" for a whole file or line.
  static absl::StatusOr<JsonObject> Of(const JsonValue& value, std::string file, std::string path);

  // The field's value, or null if it is absent or JSON null.
  const JsonValue* Find(std::string_view name);

  // Nothing if absent. A string with a NUL character is an error, since no system call can take it.
  absl::StatusOr<std::optional<std::string>> String(std::string_view name);
  absl::StatusOr<std::optional<std::vector<std::string>>> Strings(std::string_view name);
  absl::StatusOr<std::optional<bool>> Bool(std::string_view name);
  absl::StatusOr<std::optional<uint64_t>> Unsigned(std::string_view name);

  // The text of a string or number: sizes, times and addresses may be written either way.
  absl::StatusOr<std::optional<std::string>> Scalar(std::string_view name);

  // An error about the field `name` of this object, at its line.
  absl::Status Error(std::string_view name, std::string_view problem) const;

  // "limits.memory".
  std::string PathOf(std::string_view name) const;

  // Refuses fields that nobody asked for.
  absl::Status Finish() const;

  const std::string& file() const { return file_; }

 private:
  JsonObject(const JsonValue& value, std::string file, std::string path);

  const JsonValue* value_;
  std::string file_;
  std::string path_;
  std::vector<std::string> known_;
};

// "a number", "a list": what a value is, for messages.
std::string_view JsonKindName(const JsonValue& value);

// An error about a value that is not a field of an object read by JsonObject: an element of a list.
absl::Status JsonError(std::string_view file, int line, std::string_view field, std::string_view problem);

}  // namespace brood

#endif  // BROOD_BATCH_JSON_H_
