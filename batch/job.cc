#include "batch/job.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "batch/files.h"
#include "batch/job_flatbuffer.h"
#include "batch/joined_programs.h"
#include "batch/json.h"
#include "batch/json_table.h"
#include "batch/stable_hash.h"
#include "batch/text.h"

// Fields of the schemas are called as in the JSON; the C library has macros of these names, which this file does not
// need.
#undef errno
#undef stdin
#undef stdout
#undef stderr
#include "serialization/job_generated.h"

namespace brood {
namespace {

constexpr size_t kMaxShownErrors = 20;

// A program of a job: what is the job's to say is unknown there.
enum class What { kJob, kProgram };

flatbuffers::Offset<fbs::Job> WriteJob(TableReader& in, What what, size_t number) {
  const bool whole = what == What::kJob;
  auto id = whole ? in.TextOrNumber("id") : 0;
  if (id.IsNull()) id = in.builder().CreateString(absl::StrCat(number));
  const auto argv = in.Texts("argv");
  const auto target = whole ? in.Text("target") : 0;
  const auto args = whole ? in.JsonTexts("args") : 0;
  const auto env = in.Texts("env");
  const auto cwd = in.Text("cwd");
  const auto stdin_path = in.Text("stdin");
  const auto stdout_path = in.Text("stdout");
  const auto stderr_path = in.Text("stderr");
  const auto policy = in.Text("policy");
  const auto ro = in.Texts("ro");
  const auto rw = in.Texts("rw");
  const auto tmpfs = in.Texts("tmpfs");
  const auto overlay = in.Texts("overlay");
  const auto net = in.TextOrNumber("net");
  const auto limits = in.Table<fbs::Limits>("limits", WriteJsonLimits);
  const auto retries = whole ? in.Count("retries") : flatbuffers::Optional<uint64_t>(flatbuffers::nullopt);
  const auto copy_in = in.Texts("copy_in");
  const auto copy_out = in.Texts("copy_out");
  const auto overlay_kept = in.Texts("overlay_kept");
  const auto overlay_ro = in.Texts("overlay_ro");
  const auto overlay_below = in.Texts("overlay_below");
  const auto symlink = in.Texts("symlink");
  const auto dir = in.Texts("dir");
  const auto device = in.Texts("device");
  const auto no_exec = in.Texts("noexec");
  const auto tty = in.Text("tty");
  const auto programs = whole ? in.JsonTexts("programs") : 0;
  const auto pipes = whole ? in.JsonTexts("pipes") : 0;
  const auto stop = whole ? in.Text("stop") : 0;
  const auto label = in.Text("label");
  const auto proc = in.Text("proc");
  const auto hostname = in.Text("hostname");
  const auto groups = in.Numbers("groups");
  const auto allow_weaker = in.Texts("allow_weaker");
  const uint64_t kMax = std::numeric_limits<uint32_t>::max();  // Refused by the decoder, like others above its bound.
  return fbs::CreateJob(
      in.builder(), id, argv, target, args, env, cwd, stdin_path, stdout_path, stderr_path, policy, ro, rw, tmpfs, overlay, net,
      limits, retries.has_value() ? flatbuffers::Optional<uint32_t>(std::min(*retries, kMax)) : flatbuffers::nullopt,
      copy_in, copy_out, overlay_kept, overlay_ro, overlay_below, symlink, dir, device, tty, programs, pipes, stop,
      label, proc, hostname, groups, allow_weaker, no_exec);
}

std::string BytesOf(flatbuffers::FlatBufferBuilder& builder, flatbuffers::Offset<fbs::Job> table) {
  fbs::FinishJobBuffer(builder, table);
  return std::string(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize());
}

absl::StatusOr<Job> ParseProgram(const std::string& text, const std::string& file, int line, size_t number) {
  const std::string path = absl::StrCat("programs[", number, "]");
  BROOD_ASSIGN_OR_RETURN(const JsonValue value, ParseJson(text, {.file = file, .first_line = line}));
  BROOD_ASSIGN_OR_RETURN(JsonObject object, JsonObject::Of(value, file, path));
  flatbuffers::FlatBufferBuilder builder;
  TableReader reader(std::move(object), &builder);
  const auto table = WriteJob(reader, What::kProgram, number);
  BROOD_RETURN_IF_ERROR(reader.Finish());
  absl::StatusOr<Job> program = DecodeJob(BytesOf(builder, table));
  if (program.ok()) return program;
  // The decoder knows nothing of the list that it is in.
  std::string_view message = program.status().message();
  if (!absl::ConsumePrefix(&message, "field \"")) return absl::InvalidArgumentError(absl::StrCat(file, ":", line, ": field \"", path, "\": ", message));
  return absl::InvalidArgumentError(absl::StrCat(file, ":", line, ": field \"", path, ".", message));
}

absl::Status ParsePrograms(const std::string& file, int line, Job& job) {
  for (const std::string& text : job.program_texts) {
    BROOD_ASSIGN_OR_RETURN(Job program, ParseProgram(text, file, line, job.programs.size()));
    job.programs.push_back(std::move(program));
  }
  for (const std::string& text : job.pipe_texts) {
    BROOD_ASSIGN_OR_RETURN(const JsonValue value, ParseJson(text, {.file = file, .first_line = line}));
    BROOD_ASSIGN_OR_RETURN(JsonObject object, JsonObject::Of(value, file, absl::StrCat("pipes[", job.pipes.size(), "]")));
    BROOD_ASSIGN_OR_RETURN(const ProgramPipe pipe, ReadPipe(std::move(object), job.programs, job.pipes));
    job.pipes.push_back(pipe);
  }
  return absl::OkStatus();
}

absl::StatusOr<Job> ParseJob(std::string_view text, const std::string& file, int line) {
  if (text.size() > kMaxJobLineBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":", line, ": line of ", text.size(), " bytes; at most ", kMaxJobLineBytes));
  }
  BROOD_ASSIGN_OR_RETURN(const JsonValue value, ParseJson(text, {.file = file, .first_line = line}));
  BROOD_ASSIGN_OR_RETURN(JsonObject object, JsonObject::Of(value, file, ""));
  flatbuffers::FlatBufferBuilder builder;
  TableReader reader(std::move(object), &builder);
  const auto table = WriteJob(reader, What::kJob, static_cast<size_t>(line));
  BROOD_RETURN_IF_ERROR(reader.Finish());
  const std::string bytes = BytesOf(builder, table);
  absl::StatusOr<Job> job = DecodeJob(bytes);
  if (!job.ok()) return absl::InvalidArgumentError(absl::StrCat(file, ":", line, ": ", job.status().message()));
  BROOD_RETURN_IF_ERROR(ParsePrograms(file, line, *job));
  job->line = line;
  job->definition = StableHash(bytes);
  return job;
}

}  // namespace

absl::StatusOr<std::vector<Job>> ParseJobs(std::string_view text, const std::string& file) {
  std::vector<Job> jobs;
  std::vector<std::string> errors;
  std::map<std::string, int, std::less<>> lines;
  int line = 0;
  absl::ConsumePrefix(&text, "\xef\xbb\xbf");  // The byte order mark that some editors write.
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
        job->number = jobs.size() + 1;
        jobs.push_back(*std::move(job));
        continue;
      }
      job = JsonError(file, line, "id",
                      absl::StrCat("\"", first->first, "\" is the id of line ", first->second, " already"));
    }
    // Names and values of the line are quoted in it.
    errors.push_back(Printable(job.status().message()));
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
