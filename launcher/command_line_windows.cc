#include "launcher/command_line_windows.h"

#include <cwchar>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/windows_text.h"

namespace brood::internal {
namespace {

bool NeedsQuotes(std::wstring_view argument) {
  return argument.empty() || argument.find_first_of(L" \t\n\v\"") != std::wstring_view::npos;
}

// A backslash is itself, except before a quotation mark: there two stand for one.
void AppendQuoted(std::wstring_view argument, std::wstring* line) {
  if (!NeedsQuotes(argument)) {
    line->append(argument);
    return;
  }
  line->push_back(L'"');
  size_t backslashes = 0;
  for (const wchar_t character : argument) {
    if (character == L'\\') {
      ++backslashes;
      continue;
    }
    line->append(character == L'"' ? 2 * backslashes + 1 : backslashes, L'\\');
    backslashes = 0;
    line->push_back(character);
  }
  line->append(2 * backslashes, L'\\');
  line->push_back(L'"');
}

bool EndsWithIgnoringCase(std::wstring_view text, std::wstring_view end) {
  return text.size() >= end.size() && _wcsnicmp(text.data() + text.size() - end.size(), end.data(), end.size()) == 0;
}

}  // namespace

absl::StatusOr<std::wstring> CommandLine(const std::vector<std::string>& argv) {
  std::wstring line;
  for (size_t i = 0; i < argv.size(); ++i) {
    BROOD_ASSIGN_OR_RETURN(const std::wstring argument, ToWide(argv[i], absl::StrCat("argv[", i, "]")));
    if (i > 0) {
      line.push_back(L' ');
      AppendQuoted(argument, &line);
      continue;
    }
    // The program's name ends at the next quotation mark, whatever stands before that.
    if (argument.find(L'"') != std::wstring::npos) {
      return absl::InvalidArgumentError("argv[0]: a quotation mark in the name of a program cannot be passed on");
    }
    line = NeedsQuotes(argument) ? L'"' + argument + L'"' : argument;
  }
  if (line.size() >= kMaxCommandLine) {
    return absl::InvalidArgumentError(absl::StrCat("argv: the command line has ", line.size(), " characters, Windows takes ",
                                                   kMaxCommandLine - 1, "; pass a file, or stdin"));
  }
  return line;
}

absl::Status CheckNoBatchFile(std::wstring_view path) {
  // Windows leaves out what stands at the end of a name: "a.bat. ." is a.bat.
  while (!path.empty() && (path.back() == L' ' || path.back() == L'.')) path.remove_suffix(1);
  if (!EndsWithIgnoringCase(path, L".bat") && !EndsWithIgnoringCase(path, L".cmd")) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "exec ", ToUtf8(path), ": a batch file is run by cmd.exe, which takes parts of arguments for commands; start cmd.exe /c "
      "with a line that you have quoted for it"));
}

}  // namespace brood::internal
