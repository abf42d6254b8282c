#include "sandbox/learn/policy_text.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace brood {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

// Past white space and comments.
size_t SkipBlanks(std::string_view text, size_t at) {
  for (;;) {
    at = std::min(text.find_first_not_of(kBlanks, at), text.size());
    const std::string_view rest = text.substr(at);
    if (absl::StartsWith(rest, "//")) {
      at = std::min(text.find('\n', at), text.size());
    } else if (absl::StartsWith(rest, "/*")) {
      at = std::min(text.find("*/", at + 2), text.size() - 2) + 2;
    } else {
      return at;
    }
  }
}

size_t SkipString(std::string_view text, size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return std::min(at + 1, text.size());
}

size_t SkipValue(std::string_view text, size_t at) {
  if (at >= text.size()) return at;
  if (text[at] == '"') return SkipString(text, at);
  if (text[at] != '{' && text[at] != '[') return std::min(text.find_first_of(",]}/ \t\r\n", at), text.size());
  int depth = 0;
  while (at < text.size()) {
    at = SkipBlanks(text, at);
    if (at >= text.size()) break;
    if (text[at] == '"') {
      at = SkipString(text, at);
      continue;
    }
    if (text[at] == '{' || text[at] == '[') ++depth;
    const bool closes = text[at] == '}' || text[at] == ']';
    ++at;
    if (closes && --depth == 0) return at;
  }
  return at;
}

std::string CommentOf(const std::string& evidence) { return evidence.empty() ? "" : absl::StrCat("  // ", evidence); }

// Behind the opening brace of the file, as its first field.
std::string AddField(std::string text, std::string_view field, std::string_view value, const std::string& evidence) {
  const size_t begin = SkipBlanks(text, 0) + 1;
  text.insert(begin, absl::StrCat("\n  \"", field, "\": ", value, ",", CommentOf(evidence)));
  return text;
}

}  // namespace

std::optional<TextRange> FindField(std::string_view text, const std::vector<std::string_view>& path) {
  size_t at = SkipBlanks(text, 0);
  for (size_t level = 0; level < path.size(); ++level) {
    if (at >= text.size() || text[at] != '{') return std::nullopt;
    at = SkipBlanks(text, at + 1);
    for (;;) {
      if (at >= text.size() || text[at] != '"') return std::nullopt;
      const size_t name_end = SkipString(text, at);
      const std::string_view name = text.substr(at + 1, name_end - at - 2);
      at = SkipBlanks(text, SkipBlanks(text, name_end) + 1);  // Past the colon.
      if (name == path[level]) break;
      at = SkipBlanks(text, SkipValue(text, at));
      if (at < text.size() && text[at] == ',') at = SkipBlanks(text, at + 1);
    }
  }
  return TextRange{at, SkipValue(text, at)};
}

std::vector<TextRange> ListElements(std::string_view text, const std::vector<std::string_view>& path) {
  std::vector<TextRange> elements;
  const std::optional<TextRange> list = FindField(text, path);
  if (!list.has_value() || text[list->begin] != '[') return elements;
  size_t at = SkipBlanks(text, list->begin + 1);
  while (at + 1 < list->end) {
    const size_t end = SkipValue(text, at);
    if (end == at) break;
    elements.push_back({at, end});
    at = SkipBlanks(text, end);
    if (at < text.size() && text[at] == ',') at = SkipBlanks(text, at + 1);
  }
  return elements;
}

std::string AddToList(std::string text, const std::vector<std::string_view>& path, const std::vector<PolicyLine>& lines) {
  if (lines.empty()) return text;
  const std::string indent(2 * path.size() + 2, ' ');
  std::string added;
  for (size_t i = 0; i < lines.size(); ++i) {
    absl::StrAppend(&added, indent, lines[i].value, i + 1 < lines.size() ? "," : "", CommentOf(lines[i].evidence), "\n");
  }
  const std::string close = indent.substr(2);
  const std::optional<TextRange> list = FindField(text, path);
  // null is a list that is not there.
  if (!list.has_value() || text[list->begin] != '[') return SetField(std::move(text), path[0], {absl::StrCat("[\n", added, close, "]"), ""});
  const std::vector<TextRange> elements = ListElements(text, path);
  if (!elements.empty()) text.insert(elements.back().end, ",");
  const size_t bracket = FindField(text, path)->end - 1;
  // Before the line of the bracket, if that has one of its own.
  const size_t before = text.find_last_not_of(" \t", bracket - 1);
  if (text[before] == '\n') {
    text.insert(before + 1, added);
  } else {
    text.insert(bracket, absl::StrCat("\n", added, close));
  }
  return text;
}

std::string Replace(std::string text, TextRange range, const PolicyLine& line) {
  size_t end = range.end;
  const bool comma = end < text.size() && text[end] == ',';
  if (comma) ++end;
  const size_t next = std::min(text.find_first_not_of(" \t", end), text.size());
  if (absl::StartsWith(std::string_view(text).substr(next), "//")) end = std::min(text.find('\n', next), text.size());
  const bool at_line_end = next == text.size() || text[next] == '\n' || end != range.end + (comma ? 1 : 0);
  // In the middle of a line there is no place for a comment.
  const std::string comment = at_line_end || line.evidence.empty() ? CommentOf(line.evidence) : "";
  text.replace(range.begin, end - range.begin, absl::StrCat(line.value, comma ? "," : "", comment));
  return text;
}

std::string SetField(std::string text, std::string_view field, const PolicyLine& line) {
  const std::optional<TextRange> range = FindField(text, {field});
  return range.has_value() ? Replace(std::move(text), *range, line) : AddField(std::move(text), field, line.value, line.evidence);
}

}  // namespace brood
