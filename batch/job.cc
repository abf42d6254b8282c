#include "batch/job.h"

#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "batch/files.h"
#include "batch/json.h"

namespace brood {
namespace {

constexpr size_t kMaxIdBytes = 1024;
constexpr uint64_t kMaxRetries = 1000;
constexpr size_t kMaxShownErrors = 20;

// Reads the field `name` with `parse`, which takes text, into `to`.
template <typename Parse, typename To>
absl::Status ReadParsed(JsonObject& object, std::string_view name, Parse parse, To& to) {
  BROOD_ASSIGN_OR_RETURN(const std::optional<std::string> text, object.Scalar(name));
  if (!text.has_value()) return absl::OkStatus();
  auto value = parse(*text);
  if (!value.ok()) return object.Error(name, value.status().message());
  to = *std::move(value);
  return absl::OkStatus();
}

absl::Status ReadText(JsonObject& object, std::string_view name, std::string& to) {
  BROOD_ASSIGN_OR_RETURN(std::optional<std::string> text, object.String(name));
  if (text.has_value() && text->empty()) return object.Error(name, "expected a string that is not empty");
  if (text.has_value()) to = *std::move(text);
  return absl::OkStatus();
}

absl::Status ReadLimits(JsonObject& job, Limits& limits) {
  const JsonValue* value = job.Find("limits");
  if (value == nullptr) return absl::OkStatus();
  BROOD_ASSIGN_OR_RETURN(JsonObject object, JsonObject::Of(*value, job.file(), "limits"));
  BROOD_RETURN_IF_ERROR(ReadParsed(object, "memory", ParseSize, limits.memory_bytes));
  BROOD_RETURN_IF_ERROR(ReadParsed(object, "cpu_time", ParseTime, limits.cpu_time));
  BROOD_RETURN_IF_ERROR(ReadParsed(object, "wall_time", ParseTime, limits.wall_time));
  BROOD_RETURN_IF_ERROR(ReadParsed(object, "output", ParseSize, limits.output_bytes));
  BROOD_RETURN_IF_ERROR(ReadParsed(object, "file_size", ParseSize, limits.file_size_bytes));
  BROOD_RETURN_IF_ERROR(ReadParsed(object, "core", ParseSize, limits.core_bytes));
  BROOD_ASSIGN_OR_RETURN(limits.processes, object.Unsigned("processes"));
  BROOD_ASSIGN_OR_RETURN(limits.open_files, object.Unsigned("open_files"));
  return object.Finish();
}

template <typename Parse>
absl::Status ReadFileRules(JsonObject& job, std::string_view name, Parse parse, std::vector<FileRule>& rules) {
  BROOD_ASSIGN_OR_RETURN(const std::optional<std::vector<std::string>> texts, job.Strings(name));
  if (!texts.has_value()) return absl::OkStatus();
  for (const std::string& text : *texts) {
    absl::StatusOr<FileRule> rule = parse(text);
    if (!rule.ok()) return job.Error(name, rule.status().message());
    for (const FileRule& other : rules) {
      if (other.destination == rule->destination) {
        return job.Error(name, absl::StrCat("two rules for ", rule->destination));
      }
    }
    rules.push_back(*std::move(rule));
  }
  return absl::OkStatus();
}

absl::Status ReadPolicyOptions(JsonObject& job, PolicyOptions& options) {
  const auto read_only = [](std::string_view text) { return ParseBindRule(text, FileRule::Access::kReadOnly); };
  const auto read_write = [](std::string_view text) { return ParseBindRule(text, FileRule::Access::kReadWrite); };
  BROOD_RETURN_IF_ERROR(ReadFileRules(job, "ro", read_only, options.files));
  BROOD_RETURN_IF_ERROR(ReadFileRules(job, "rw", read_write, options.files));
  BROOD_RETURN_IF_ERROR(ReadFileRules(job, "tmpfs", ParseTmpfsRule, options.files));
  BROOD_RETURN_IF_ERROR(ReadParsed(job, "net", ParseNetwork, options.network));
  return ReadLimits(job, options.limits);
}

absl::Status ReadEnvironment(JsonObject& job, std::vector<std::string>& env) {
  BROOD_ASSIGN_OR_RETURN(std::optional<std::vector<std::string>> entries, job.Strings("env"));
  if (!entries.has_value()) return absl::OkStatus();
  for (const std::string& entry : *entries) {
    if (entry.empty() || entry[0] == '=')
      return job.Error("env", absl::StrCat("expected \"NAME=VALUE\" or \"NAME\", got \"", entry, "\""));
  }
  env = *std::move(entries);
  return absl::OkStatus();
}

absl::Status ReadTarget(JsonObject& object, Job& job) {
  BROOD_ASSIGN_OR_RETURN(std::optional<std::vector<std::string>> argv, object.Strings("argv"));
  const bool has_target = object.Find("target") != nullptr;
  const bool has_args = object.Find("args") != nullptr;
  if (argv.has_value() && has_target)
    return object.Error("target", "goes without \"argv\": a job is a program or a function");
  if (has_target) return object.Error("target", "functions cannot be run in a batch yet; use \"argv\"");
  if (has_args) return object.Error("args", "goes with \"target\" only; arguments of a program belong in \"argv\"");
  if (!argv.has_value()) return object.Error("argv", "missing; expected a list of strings, the program first");
  if (argv->empty() || argv->front().empty()) return object.Error("argv", "expected the program as first element");
  job.argv = *std::move(argv);
  return absl::OkStatus();
}

absl::StatusOr<Job> ParseJob(std::string_view text, const std::string& file, int line) {
  if (text.size() > kMaxJobLineBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":", line, ": line of ", text.size(), " bytes; at most ", kMaxJobLineBytes));
  }
  BROOD_ASSIGN_OR_RETURN(const JsonValue value, ParseJson(text, {.file = file, .first_line = line}));
  BROOD_ASSIGN_OR_RETURN(JsonObject object, JsonObject::Of(value, file, ""));
  Job job{.line = line};
  BROOD_ASSIGN_OR_RETURN(const std::optional<std::string> id, object.Scalar("id"));
  job.id = id.value_or(absl::StrCat(line));
  if (job.id.empty() || job.id.size() > kMaxIdBytes || job.id.find('\0') != std::string::npos) {
    return object.Error("id", absl::StrCat("expected 1 to ", kMaxIdBytes, " bytes without NUL"));
  }
  BROOD_RETURN_IF_ERROR(ReadEnvironment(object, job.env));
  BROOD_RETURN_IF_ERROR(ReadText(object, "cwd", job.cwd));
  BROOD_RETURN_IF_ERROR(ReadText(object, "stdin", job.stdin_path));
  BROOD_RETURN_IF_ERROR(ReadText(object, "stdout", job.stdout_path));
  BROOD_RETURN_IF_ERROR(ReadText(object, "stderr", job.stderr_path));
  BROOD_RETURN_IF_ERROR(ReadText(object, "policy", job.policy));
  BROOD_RETURN_IF_ERROR(ReadPolicyOptions(object, job.options));
  BROOD_ASSIGN_OR_RETURN(const std::optional<uint64_t> retries, object.Unsigned("retries"));
  if (retries.has_value() && *retries > kMaxRetries)
    return object.Error("retries", absl::StrCat("expected 0 to ", kMaxRetries));
  if (retries.has_value()) job.retries = static_cast<int>(*retries);
  // The target last: a mistyped "argv" is then reported by its own name, with what was meant.
  const absl::Status target = ReadTarget(object, job);
  BROOD_RETURN_IF_ERROR(object.Finish());
  BROOD_RETURN_IF_ERROR(target);
  return job;
}

}  // namespace

absl::StatusOr<std::vector<Job>> ParseJobs(std::string_view text, const std::string& file) {
  std::vector<Job> jobs;
  std::vector<std::string> errors;
  std::map<std::string, int, std::less<>> lines;
  int line = 0;
  while (!text.empty()) {
    ++line;
    const size_t end = text.find('\n');
    const std::string_view content = absl::StripAsciiWhitespace(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (content.empty() || content[0] == '#') continue;
    absl::StatusOr<Job> job = ParseJob(content, file, line);
    if (job.ok()) {
      const auto [first, inserted] = lines.emplace(job->id, line);
      if (inserted) {
        jobs.push_back(*std::move(job));
        continue;
      }
      job = JsonError(file, line, "id",
                      absl::StrCat("\"", first->first, "\" is the id of line ", first->second, " already"));
    }
    errors.emplace_back(job.status().message());
  }
  if (errors.empty()) return jobs;
  const size_t shown = std::min(errors.size(), kMaxShownErrors);
  std::string message = absl::StrJoin(errors.begin(), errors.begin() + static_cast<std::ptrdiff_t>(shown), "\n");
  if (shown < errors.size()) absl::StrAppend(&message, "\n", file, ": ", errors.size() - shown, " more bad lines");
  return absl::InvalidArgumentError(message);
}

absl::StatusOr<std::vector<Job>> LoadJobs(const std::string& path) {
  BROOD_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxJobFileBytes));
  return ParseJobs(text, path == "-" ? "stdin" : path);
}

}  // namespace brood
