// The options of every command, in one table: parsing and help are both made from it.
#ifndef BROOD_CLI_OPTIONS_H_
#define BROOD_CLI_OPTIONS_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace brood {

// Where the help shows an option: with its command, or under `brood help TOPIC`.
enum class Topic { kEveryday, kFiles, kLimits, kProcesses, kEnvironment, kBatch, kServe, kQuotas, kServer, kListen };

struct Option {
  std::string_view name;           // "--wall-time".
  std::string_view short_name;     // "-t", or "".
  std::string_view argument;       // "TIME"; "" for a flag.
  std::string_view help;           // One line, with units.
  std::string_view default_value;  // In words; "" where there is nothing to say.
  std::string_view commands;       // "run batch": who has it.
  Topic topic = Topic::kEveryday;
  bool repeatable = false;  // All values count; else the last one does.
};

const std::vector<Option>& AllOptions();

// True if the command ("batch", "policy check") has the option.
bool HasOption(std::string_view command, const Option& option);

// What a command line said.
class ParsedOptions {
 public:
  bool Has(std::string_view name) const;
  // The last value, or `fallback` if the option was not given.
  std::string Value(std::string_view name, std::string_view fallback = "") const;
  std::vector<std::string> Values(std::string_view name) const;

  // Each option as it was given, in that order; the value of a flag is "".
  const std::vector<std::pair<std::string, std::string>>& given() const { return given_; }
  const std::vector<std::string>& operands() const { return operands_; }

 private:
  friend absl::StatusOr<ParsedOptions> ParseOptions(std::string_view command, const std::vector<std::string>& args);
  std::vector<std::pair<std::string, std::string>> given_;
  std::vector<std::string> operands_;
};

// Parses the words after the command. Options stop at the first operand, or after "--".
//
// Errors: InvalidArgument: an unknown option, a missing value, a value for a flag.
absl::StatusOr<ParsedOptions> ParseOptions(std::string_view command, const std::vector<std::string>& args);

}  // namespace brood

#endif  // BROOD_CLI_OPTIONS_H_
