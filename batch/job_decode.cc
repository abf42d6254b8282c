#include "batch/job_flatbuffer.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "batch/copy_options.h"
#include "batch/file_rules.h"
#include "batch/joined_programs.h"
#include "batch/policy_options.h"
#include "sandbox/ids.h"
#include "sandbox/label.h"
#include "sandbox/policy_flatbuffer.h"
#include "serialization/verify.h"

// Fields of the schemas are called as in the JSON; the C library has macros of these names, which this file does not
// need.
#undef errno
#undef stdin
#undef stdout
#undef stderr
#include "serialization/job_generated.h"

namespace brood {
namespace {

using flatbuffers::Offset;
using Text = flatbuffers::String;
using Texts = flatbuffers::Vector<Offset<Text>>;

constexpr size_t kMaxIdBytes = 1024;
constexpr uint32_t kMaxRetries = 1000;
constexpr size_t kFieldsBegin = 2;  // Numbers that a vtable begins with. https://flatbuffers.dev/internals

absl::Status Invalid(std::string_view field, std::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat("field \"", field, "\": ", problem));
}

absl::Status InvalidLimit(std::string_view field, std::string_view problem) {
  return Invalid(absl::StrCat("limits.", field), problem);
}

// These end up in system calls that take C strings.
absl::Status CheckText(std::string_view text, std::string_view field) {
  if (text.find('\0') == std::string_view::npos) return absl::OkStatus();
  return Invalid(field, "expected a string without NUL characters");
}

absl::Status ReadText(const Text* from, std::string_view field, std::string& to) {
  if (from == nullptr) return absl::OkStatus();
  if (from->size() == 0) return Invalid(field, "expected a string that is not empty");
  to = View(from);
  return CheckText(to, field);
}

absl::Status ReadTexts(const Texts* from, std::string_view field, std::vector<std::string>& to) {
  if (from == nullptr) return absl::OkStatus();
  for (const Text* text : *from) {
    BROOD_RETURN_IF_ERROR(CheckText(View(text), absl::StrCat(field, "[", to.size(), "]")));
    to.emplace_back(View(text));
  }
  return absl::OkStatus();
}

// Of a job of several programs, which say the rest.
absl::Status ReadPrograms(const fbs::Job& from, Job& to) {
  BROOD_RETURN_IF_ERROR(ReadTexts(from.programs(), "programs", to.program_texts));
  BROOD_RETURN_IF_ERROR(ReadTexts(from.pipes(), "pipes", to.pipe_texts));
  if (to.program_texts.empty() || to.program_texts.size() > kMaxPrograms) {
    return Invalid("programs", absl::StrCat("expected 1 to ", kMaxPrograms, " programs, got ", to.program_texts.size()));
  }
  // Whatever else a job can say: a field that was forgotten here would be dropped without a word.
  constexpr std::string_view kOfTheWhole[] = {"id", "retries", "programs", "pipes", "stop"};
  const flatbuffers::TypeTable& type = *fbs::JobTypeTable();
  const auto& table = reinterpret_cast<const flatbuffers::Table&>(from);  // Its private base.
  for (size_t i = 0; i < type.num_elems; ++i) {
    const std::string_view name = type.names[i];
    const bool is_there = table.GetOptionalFieldOffset(static_cast<flatbuffers::voffset_t>((i + kFieldsBegin) * sizeof(flatbuffers::voffset_t))) != 0;
    if (is_there && !absl::c_linear_search(kOfTheWhole, name)) return Invalid(name, "goes without \"programs\": each of those has its own");
  }
  if (from.stop() == nullptr) return absl::OkStatus();
  const absl::StatusOr<StopAll> stop = ParseStop(View(from.stop()));
  if (!stop.ok()) return Invalid("stop", stop.status().message());
  to.stop = *stop;
  return absl::OkStatus();
}

absl::Status ReadTerminal(const fbs::Job& from, Job& to) {
  if (from.tty() == nullptr) return absl::OkStatus();
  const absl::StatusOr<Terminal> terminal = ParseTerminalSize(View(from.tty()));
  if (!terminal.ok()) return Invalid("tty", terminal.status().message());
  if (from.target() != nullptr) return Invalid("tty", "of a program only");
  if (from.stderr() != nullptr) return Invalid("stderr", "goes without \"tty\": a terminal shows both in stdout");
  to.terminal = *terminal;
  return absl::OkStatus();
}

absl::Status ReadWork(const fbs::Job& from, Job& to) {
  if (from.programs() != nullptr) return ReadPrograms(from, to);
  if (from.pipes() != nullptr) return Invalid("pipes", "goes with \"programs\" only");
  if (from.stop() != nullptr) return Invalid("stop", "goes with \"programs\" only");
  BROOD_RETURN_IF_ERROR(ReadTerminal(from, to));
  if (from.argv() != nullptr && from.target() != nullptr) {
    return Invalid("target", "goes without \"argv\": a job is a program or a function");
  }
  if (from.args() != nullptr && from.target() == nullptr) {
    return Invalid("args", "goes with \"target\" only; arguments of a program belong in \"argv\"");
  }
  BROOD_RETURN_IF_ERROR(ReadText(from.target(), "target", to.target));
  BROOD_RETURN_IF_ERROR(ReadTexts(from.args(), "args", to.args));
  BROOD_RETURN_IF_ERROR(ReadTexts(from.argv(), "argv", to.argv));
  if (!to.target.empty()) return absl::OkStatus();
  if (from.argv() == nullptr) return Invalid("argv", "missing; expected a list of strings, the program first");
  if (to.argv.empty() || to.argv[0].empty()) return Invalid("argv", "expected the program as first element");
  return absl::OkStatus();
}

absl::Status ReadEnvironment(const Texts* from, std::vector<std::string>& to) {
  BROOD_RETURN_IF_ERROR(ReadTexts(from, "env", to));
  for (const std::string& entry : to) {
    if (!entry.empty() && entry[0] != '=') continue;
    return Invalid("env", absl::StrCat("expected \"NAME=VALUE\" or \"NAME\", got \"", entry, "\""));
  }
  return absl::OkStatus();
}

template <typename Parse>
absl::Status ReadFileRules(const Texts* from, std::string_view field, Parse parse, std::vector<FileRule>& to) {
  std::vector<std::string> texts;
  BROOD_RETURN_IF_ERROR(ReadTexts(from, field, texts));
  for (const std::string& text : texts) {
    absl::StatusOr<FileRule> rule = parse(text);
    if (!rule.ok()) return Invalid(field, rule.status().message());
    for (const FileRule& other : to) {
      if (other.destination == rule->destination) {
        return Invalid(field, absl::StrCat("two rules for ", rule->destination));
      }
    }
    to.push_back(*std::move(rule));
  }
  return absl::OkStatus();
}

template <typename Parse, typename Copy>
absl::Status ReadCopies(const Texts* from, std::string_view field, Parse parse, std::vector<Copy>& to) {
  std::vector<std::string> texts;
  BROOD_RETURN_IF_ERROR(ReadTexts(from, field, texts));
  for (const std::string& text : texts) {
    absl::StatusOr<Copy> copy = parse(text);
    if (!copy.ok()) return Invalid(field, copy.status().message());
    to.push_back(*std::move(copy));
  }
  return absl::OkStatus();
}

absl::Status ReadProcess(const fbs::Job& from, PolicyOptions& to) {
  if (from.label() != nullptr) {
    absl::StatusOr<std::string> label = ParseLabel(View(from.label()));
    if (!label.ok()) return Invalid("label", label.status().message());
    to.label = *std::move(label);
  }
  if (from.proc() != nullptr) {
    const std::string_view word = View(from.proc());
    if (word != "ro" && word != "rw") return Invalid("proc", absl::StrCat("expected \"ro\" or \"rw\", got \"", word, "\""));
    to.proc = word == "rw" ? ProcAccess::kReadWrite : ProcAccess::kReadOnly;
  }
  if (from.hostname() != nullptr) {
    to.hostname = View(from.hostname());
    if (const absl::Status good = CheckHostname(*to.hostname); !good.ok()) return Invalid("hostname", good.message());
  }
  if (from.groups() != nullptr) {
    Policy with;
    with.groups.assign(from.groups()->begin(), from.groups()->end());
    if (const absl::Status good = CheckIds(with); !good.ok()) return Invalid("groups", absl::StripPrefix(good.message(), "groups: "));
    to.groups = std::move(with.groups);
  }
  std::vector<std::string> layers;
  BROOD_RETURN_IF_ERROR(ReadTexts(from.allow_weaker(), "allow_weaker", layers));
  for (const std::string& layer : layers) {
    const absl::StatusOr<LayerSet> one = ParseLayers(layer);
    if (!one.ok()) return Invalid("allow_weaker", one.status().message());
    to.allow_weaker.insert(one->begin(), one->end());
  }
  return absl::OkStatus();
}

absl::Status ReadOptions(const fbs::Job& from, PolicyOptions& to) {
  const auto read_only = [](std::string_view text) { return ParseBindRule(text, FileRule::Access::kReadOnly); };
  const auto read_write = [](std::string_view text) { return ParseBindRule(text, FileRule::Access::kReadWrite); };
  BROOD_RETURN_IF_ERROR(ReadFileRules(from.ro(), "ro", read_only, to.files));
  BROOD_RETURN_IF_ERROR(ReadFileRules(from.rw(), "rw", read_write, to.files));
  BROOD_RETURN_IF_ERROR(ReadFileRules(from.tmpfs(), "tmpfs", ParseTmpfsRule, to.files));
  BROOD_RETURN_IF_ERROR(ReadFileRules(from.overlay(), "overlay", ParseOverlayRule, to.files));
  BROOD_RETURN_IF_ERROR(ReadFileRules(from.overlay_kept(), "overlay_kept", ParseKeptOverlayRule, to.files));
  BROOD_RETURN_IF_ERROR(ReadFileRules(from.overlay_ro(), "overlay_ro", ParseMergedRule, to.files));
  BROOD_RETURN_IF_ERROR(ReadFileRules(from.symlink(), "symlink", ParseSymlinkRule, to.files));
  BROOD_RETURN_IF_ERROR(ReadFileRules(from.dir(), "dir", ParseDirectoryRule, to.files));
  BROOD_RETURN_IF_ERROR(ReadFileRules(from.device(), "device", ParseDeviceRule, to.files));
  std::vector<std::string> layers;
  BROOD_RETURN_IF_ERROR(ReadTexts(from.overlay_below(), "overlay_below", layers));
  for (const std::string& layer : layers) {
    if (const absl::Status added = AddOverlayLayer(layer, to.files); !added.ok()) return Invalid("overlay_below", added.message());
  }
  std::vector<std::string> places;
  BROOD_RETURN_IF_ERROR(ReadTexts(from.noexec(), "noexec", places));
  for (const std::string& text : places) {
    absl::StatusOr<std::string> place = ParsePlace(text);
    if (!place.ok()) return Invalid("noexec", place.status().message());
    to.no_exec.push_back(*std::move(place));
  }
  if (from.net() != nullptr) {
    absl::StatusOr<Network> network = ParseNetwork(View(from.net()));
    if (!network.ok()) return Invalid("net", network.status().message());
    to.network = *std::move(network);
  }
  BROOD_RETURN_IF_ERROR(ReadProcess(from, to));
  return DecodeLimits(from.limits(), InvalidLimit, to.limits);
}

}  // namespace

absl::StatusOr<Job> DecodeJob(std::string_view bytes) {
  if (bytes.size() > kMaxJobBytes) {
    return absl::InvalidArgumentError(absl::StrCat("job: ", bytes.size(), " bytes; at most ", kMaxJobBytes));
  }
  const AlignedBytes aligned(bytes);
  const absl::StatusOr<const fbs::Job*> verified = Verified<fbs::Job>(aligned.view(), fbs::JobIdentifier(), "job");
  if (!verified.ok()) return absl::InvalidArgumentError(verified.status().message());
  const fbs::Job& from = **verified;
  Job job;
  job.id = View(from.id());
  if (job.id.empty() || job.id.size() > kMaxIdBytes || job.id.find('\0') != std::string::npos) {
    return Invalid("id", absl::StrCat("expected 1 to ", kMaxIdBytes, " bytes without NUL"));
  }
  BROOD_RETURN_IF_ERROR(ReadEnvironment(from.env(), job.env));
  BROOD_RETURN_IF_ERROR(ReadText(from.cwd(), "cwd", job.cwd));
  BROOD_RETURN_IF_ERROR(ReadText(from.stdin(), "stdin", job.stdin_path));
  BROOD_RETURN_IF_ERROR(ReadText(from.stdout(), "stdout", job.stdout_path));
  BROOD_RETURN_IF_ERROR(ReadText(from.stderr(), "stderr", job.stderr_path));
  BROOD_RETURN_IF_ERROR(ReadText(from.policy(), "policy", job.policy));
  BROOD_RETURN_IF_ERROR(ReadOptions(from, job.options));
  BROOD_RETURN_IF_ERROR(ReadCopies(from.copy_in(), "copy_in", ParseCopyIn, job.copy_in));
  BROOD_RETURN_IF_ERROR(ReadCopies(from.copy_out(), "copy_out", ParseCopyOut, job.copy_out));
  if (from.retries().has_value()) {
    if (*from.retries() > kMaxRetries) return Invalid("retries", absl::StrCat("expected 0 to ", kMaxRetries));
    job.retries = static_cast<int>(*from.retries());
  }
  BROOD_RETURN_IF_ERROR(ReadWork(from, job));
  return job;
}

}  // namespace brood
