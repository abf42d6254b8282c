// The only place that knows the library which parses command lines.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "batch/suggest.h"
#include "cli/options.h"

namespace brood {
namespace {

const Option* FindOption(std::string_view command, std::string_view word) {
  for (const Option& option : AllOptions()) {
    if (!HasOption(command, option)) continue;
    if (word == option.name || (!option.short_name.empty() && word == option.short_name)) return &option;
  }
  return nullptr;
}

absl::Status UnknownOption(std::string_view command, std::string_view word) {
  std::vector<std::string> names = {"--help"};
  for (const Option& option : AllOptions()) {
    if (HasOption(command, option)) names.emplace_back(option.name);
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown option ", word, DidYouMean(word, names)));
}

// How many of the words belong to options: the library itself looks for options among the operands too.
absl::StatusOr<size_t> CountOptionWords(std::string_view command, const std::vector<std::string>& args) {
  size_t at = 0;
  while (at < args.size()) {
    const std::string& word = args[at];
    if (word.size() < 2 || word[0] != '-' || word == "--") return at;
    const bool is_long = absl::StartsWith(word, "--");
    const std::string name = is_long ? word.substr(0, word.find('=')) : word.substr(0, 2);
    if (name == "--help" || name == "-h") return absl::CancelledError("help");
    const Option* option = FindOption(command, name);
    if (option == nullptr) return UnknownOption(command, name);
    const bool has_value = word.size() > name.size();
    if (option->argument.empty() && has_value) return absl::InvalidArgumentError(absl::StrCat(name, " takes no value"));
    const bool wants_next = !option->argument.empty() && !has_value;
    if (wants_next && at + 1 == args.size()) {
      return absl::InvalidArgumentError(absl::StrCat(name, " needs a value: ", option->argument));
    }
    at += wants_next ? 2 : 1;
  }
  return at;
}

}  // namespace

absl::StatusOr<ParsedOptions> ParseOptions(std::string_view command, const std::vector<std::string>& args) {
  const absl::StatusOr<size_t> count = CountOptionWords(command, args);
  if (!count.ok()) return count.status();
  ParsedOptions parsed;
  size_t operands = *count;
  if (operands < args.size() && args[operands] == "--") ++operands;
  parsed.operands_.assign(args.begin() + static_cast<std::ptrdiff_t>(operands), args.end());

  CLI::App app;
  app.set_help_flag();
  for (const Option& option : AllOptions()) {
    if (!HasOption(command, option)) continue;
    const std::string names =
        option.short_name.empty() ? std::string(option.name) : absl::StrCat(option.short_name, ",", option.name);
    const std::string name(option.name);
    if (option.argument.empty()) {
      app.add_flag_callback(names, [&parsed, name] { parsed.given_.emplace_back(name, ""); });
      continue;
    }
    const auto keep = [&parsed, name](const std::vector<std::string>& values) {
      for (const std::string& value : values) parsed.given_.emplace_back(name, value);
      return true;
    };
    app.add_option(names, keep)
        ->expected(1)
        ->type_size(1)
        ->multi_option_policy(option.repeatable ? CLI::MultiOptionPolicy::TakeAll : CLI::MultiOptionPolicy::TakeLast);
  }
  // The library takes its words from the back.
  std::vector<std::string> words(args.begin(), args.begin() + static_cast<std::ptrdiff_t>(*count));
  std::reverse(words.begin(), words.end());
  try {
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }
  return parsed;
}

}  // namespace brood
