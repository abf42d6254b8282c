// The only place where the JSON library parses, or writes a JsonValue: its SAX events become JsonValues with line
// numbers.
#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "batch/json.h"

namespace brood {
namespace {

constexpr size_t kMaxDepth = 64;  // Values are destroyed recursively, and nothing people write is deeper.

// How far the library has read. Its SAX events carry no position, but come as soon as their token is complete.
struct Cursor {
  size_t offset = 0;
  int line = 0;
  size_t line_start = 0;
};

// Feeds the library and keeps the cursor; copies share it.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, Cursor* cursor) : at_(at), cursor_(cursor) {}

  const char& operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++cursor_->offset;
    if (*at_ == '\n') {
      ++cursor_->line;
      cursor_->line_start = cursor_->offset;
    }
    ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator old = *this;
    ++*this;
    return old;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  Cursor* cursor_;
};

class TreeBuilder : public nlohmann::json_sax<nlohmann::json> {
 public:
  TreeBuilder(std::string_view text, const JsonSource& source, Cursor* cursor)
      : text_(text), source_(source), cursor_(cursor) {}

  bool null() override { return Add({.kind = JsonValue::Kind::kNull}); }
  bool boolean(bool value) override { return Add({.kind = JsonValue::Kind::kBool, .boolean = value}); }
  bool number_integer(number_integer_t value) override { return AddNumber(absl::StrCat(value)); }
  bool number_unsigned(number_unsigned_t value) override { return AddNumber(absl::StrCat(value)); }
  bool number_float(number_float_t, const string_t& digits) override { return AddNumber(digits); }
  bool string(string_t& value) override { return Add({.kind = JsonValue::Kind::kString, .text = std::move(value)}); }
  bool binary(binary_t&) override { return Fail("binary data"); }

  bool start_object(size_t) override { return Open(JsonValue::Kind::kObject); }
  bool start_array(size_t) override { return Open(JsonValue::Kind::kArray); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    for (const JsonMember& member : open_.back().members) {
      if (member.name == name) return Fail(absl::StrCat("field \"", name, "\": given twice"));
    }
    open_.back().members.push_back({.name = std::move(name), .line = cursor_->line, .value = {}});
    return true;
  }

  bool parse_error(size_t position, const std::string& last_token, const nlohmann::detail::exception& error) override {
    // The library counts bytes from 1 and, at the end of the text, one beyond.
    size_t offset = position > 0 ? position - 1 : 0;
    if (offset > text_.size()) offset = text_.size();
    const std::string_view before = text_.substr(0, offset);
    int line = source_.first_line;
    for (char c : before) line += c == '\n' ? 1 : 0;
    const size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while ...": keep the last part.
    // Of others, "[json.exception.out_of_range.406] number overflow ...", all but the name.
    std::string_view what = error.what();
    if (const size_t at = what.find("syntax error"); at != std::string_view::npos) {
      what = what.substr(at);
    } else if (const size_t end = what.find("] "); end != std::string_view::npos) {
      what = what.substr(end + 2);
    }
    (void)last_token;
    error_ = absl::InvalidArgumentError(
        absl::StrCat(source_.file, ":", line, ":", offset - line_start + 1, ": not JSON: ", what));
    return false;
  }

  absl::StatusOr<JsonValue> Take() {
    if (!error_.ok()) return error_;
    return std::move(root_);
  }

 private:
  bool Fail(std::string_view problem) {
    error_ = absl::InvalidArgumentError(absl::StrCat(source_.file, ":", cursor_->line, ": ", problem));
    return false;
  }

  // A number ends at the first character after it, which may be the line feed that was counted already.
  bool AddNumber(std::string digits) {
    JsonValue value{.kind = JsonValue::Kind::kNumber, .text = std::move(digits)};
    value.line = cursor_->line;
    if (cursor_->offset > 0 && cursor_->offset <= text_.size() && text_[cursor_->offset - 1] == '\n') --value.line;
    return Attach(std::move(value));
  }

  bool Add(JsonValue value) {
    value.line = cursor_->line;
    return Attach(std::move(value));
  }

  bool Attach(JsonValue value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().kind == JsonValue::Kind::kArray) {
      open_.back().items.push_back(std::move(value));
    } else {
      open_.back().members.back().value = std::move(value);
    }
    return true;
  }

  bool Open(JsonValue::Kind kind) {
    if (open_.size() >= kMaxDepth) return Fail(absl::StrCat("nested deeper than ", kMaxDepth, " levels"));
    open_.push_back({.kind = kind});
    open_.back().line = cursor_->line;
    return true;
  }

  bool Close() {
    JsonValue value = std::move(open_.back());
    open_.pop_back();
    return Attach(std::move(value));
  }

  std::string_view text_;
  const JsonSource& source_;
  Cursor* cursor_;
  std::vector<JsonValue> open_;
  JsonValue root_;
  absl::Status error_;
};

}  // namespace

absl::StatusOr<JsonValue> ParseJson(std::string_view text, const JsonSource& source) {
  // To the library a zero byte is the end of the text, and what stands behind it would be passed over.
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) {
    const std::string_view before = text.substr(0, zero);
    const size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    const auto line = source.first_line + std::count(before.begin(), before.end(), '\n');
    return absl::InvalidArgumentError(absl::StrCat(source.file, ":", line, ":", zero - line_start + 1, ": not JSON: a zero byte"));
  }
  Cursor cursor{.line = source.first_line};
  TreeBuilder builder(text, source, &cursor);
  nlohmann::json::sax_parse(CountingIterator(text.data(), &cursor),
                            CountingIterator(text.data() + text.size(), &cursor), &builder,
                            nlohmann::json::input_format_t::json, /*strict=*/true, /*ignore_comments=*/true);
  return builder.Take();
}

std::string JsonTextOf(const JsonValue& value) {
  const auto quoted = [](const std::string& text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  };
  switch (value.kind) {
    case JsonValue::Kind::kNull:
      return "null";
    case JsonValue::Kind::kBool:
      return value.boolean ? "true" : "false";
    case JsonValue::Kind::kNumber:
      return value.text;
    case JsonValue::Kind::kString:
      return quoted(value.text);
    case JsonValue::Kind::kArray:
      return absl::StrCat("[",
                          absl::StrJoin(value.items, ",",
                                        [](std::string* out, const JsonValue& item) { out->append(JsonTextOf(item)); }),
                          "]");
    case JsonValue::Kind::kObject:
      return absl::StrCat("{",
                          absl::StrJoin(value.members, ",",
                                        [&](std::string* out, const JsonMember& member) {
                                          absl::StrAppend(out, quoted(member.name), ":", JsonTextOf(member.value));
                                        }),
                          "}");
  }
  return "null";
}

}  // namespace brood
