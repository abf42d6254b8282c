#include "cli/printable.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace brood {

std::string ShellCommand(const std::vector<std::string>& argv) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./=:,+@%";
  std::string command;
  for (const std::string& word : argv) {
    if (!command.empty()) command += ' ';
    const std::string printable = Printable(word);
    if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) {
      command += word;
    } else if (printable != word) {
      absl::StrAppend(&command, "$'", absl::StrReplaceAll(printable, {{"'", "\\'"}}), "'");
    } else {
      absl::StrAppend(&command, "'", absl::StrReplaceAll(word, {{"'", "'\\''"}}), "'");
    }
  }
  return command;
}

std::string JsonText(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace brood
