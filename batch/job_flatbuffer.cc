#include "batch/job_flatbuffer.h"

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "batch/copy_options.h"
#include "batch/file_rules.h"
#include "batch/joined_programs.h"
#include "batch/policy_options.h"
#include "sandbox/ids.h"
#include "sandbox/label.h"
#include "sandbox/layer.h"
#include "sandbox/made_files.h"
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
using Builder = flatbuffers::FlatBufferBuilder;
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
  if (from.net() != nullptr) {
    absl::StatusOr<Network> network = ParseNetwork(View(from.net()));
    if (!network.ok()) return Invalid("net", network.status().message());
    to.network = *std::move(network);
  }
  BROOD_RETURN_IF_ERROR(ReadProcess(from, to));
  return DecodeLimits(from.limits(), InvalidLimit, to.limits);
}

bool SameRule(const FileRule& one, const FileRule& other) {
  return one.kind == other.kind && one.source == other.source && one.destination == other.destination &&
         (one.kind != FileRule::Kind::kBind || one.access == other.access) &&
         one.size_bytes == other.size_bytes && one.changes == other.changes && one.optional == other.optional && one.text == other.text &&
         one.mode == other.mode;
}

// A field of a job that holds file rules, and how it says one but for its layers.
struct RuleField {
  const char* name;
  std::string text;
  absl::StatusOr<FileRule> read;  // What is read from the text.
};

RuleField FieldOf(const FileRule& rule) {
  const std::string bind = absl::StrCat(rule.source, ":", rule.destination);
  const auto sized = [&](std::string text) { return rule.size_bytes > 0 ? absl::StrCat(text, ":", rule.size_bytes) : text; };
  switch (rule.kind) {
    case FileRule::Kind::kTmpfs:
      return {"tmpfs", sized(rule.destination), ParseTmpfsRule(sized(rule.destination))};
    case FileRule::Kind::kOverlay: {
      if (rule.changes.empty()) return {"overlay", sized(bind), ParseOverlayRule(sized(bind))};
      const std::string kept = absl::StrCat(rule.changes, ":", bind);
      return {"overlay_kept", kept, ParseKeptOverlayRule(kept)};
    }
    case FileRule::Kind::kMerged:
      return {"overlay_ro", bind, ParseMergedRule(bind)};
    case FileRule::Kind::kSymlink: {
      const std::string link = absl::StrCat(rule.text, ":", rule.destination);
      return {"symlink", link, ParseSymlinkRule(link)};
    }
    case FileRule::Kind::kDirectory: {
      const std::string directory = absl::StrCat(rule.destination, rule.mode.has_value() ? absl::StrCat(":", ModeText(*rule.mode)) : "");
      return {"dir", directory, ParseDirectoryRule(directory)};
    }
    case FileRule::Kind::kFile:
      return {"content", "", absl::UnimplementedError("")};
    case FileRule::Kind::kBind:
      break;
  }
  const char* const name = rule.access == FileRule::Access::kReadOnly ? "ro" : rule.access == FileRule::Access::kReadWrite ? "rw" : "device";
  return {name, bind, ParseBindRule(bind, rule.access)};
}

absl::StatusOr<std::string> NetworkText(const Network& network) {
  switch (network.mode) {
    case NetworkMode::kNone:
      return "none";
    case NetworkMode::kLoopback:
      return "loopback";
    case NetworkMode::kHost:
      return "host";
    case NetworkMode::kAllow:
      return absl::StrCat("allow:", absl::StrJoin(network.to, ","));
  }
  return Invalid("net", "unknown mode");
}

struct OptionTexts {
  std::map<std::string_view, std::vector<std::string>> files;  // By the field.
  std::string net;  // Empty: not set.
};

absl::StatusOr<OptionTexts> TextsOf(const PolicyOptions& options) {
  if (options.environment.has_value() || !options.bpf_files.empty() || options.process != ProcessAttributes()) {
    return Invalid("options", "a job cannot say an environment, filters or attributes; use a policy file");
  }
  OptionTexts texts;
  for (const FileRule& rule : options.files) {
    const RuleField field = FieldOf(rule);
    const bool same = field.read.ok() && SameRule(*field.read, rule);
    if (!same) return Invalid(field.name, absl::StrCat("a job cannot say the rule for ", rule.destination, "; use a policy file"));
    texts.files[field.name].push_back(field.text);
    for (const std::string& layer : rule.layers) texts.files["overlay_below"].push_back(absl::StrCat(layer, ":", rule.destination));
  }
  if (options.network.has_value()) {
    BROOD_ASSIGN_OR_RETURN(texts.net, NetworkText(*options.network));
  }
  return texts;
}

Offset<Text> WriteText(Builder& builder, const std::string& text) {
  return text.empty() ? 0 : builder.CreateString(text);
}

Offset<Texts> WriteTexts(Builder& builder, const std::vector<std::string>& texts) {
  return texts.empty() ? 0 : builder.CreateVectorOfStrings(texts);
}

bool HasAny(const Limits& limits) {
  return limits.memory_bytes || limits.processes || limits.cpu_time || limits.wall_time || limits.output_bytes ||
         limits.file_size_bytes || limits.open_files || limits.core_bytes || limits.cpus_milli ||
         limits.cpu_weight || limits.io_weight || limits.io_rate_bytes || limits.disk_bytes || limits.cpu_set || !limits.rlimits.empty() || limits.grace;
}

}  // namespace

absl::StatusOr<std::string> EncodeJob(const Job& job) {
  BROOD_ASSIGN_OR_RETURN(OptionTexts options, TextsOf(job.options));
  Builder builder;
  const auto id = builder.CreateString(job.id);
  const auto argv = WriteTexts(builder, job.argv);
  const auto target = WriteText(builder, job.target);
  const auto args = WriteTexts(builder, job.args);
  const auto env = WriteTexts(builder, job.env);
  const auto cwd = WriteText(builder, job.cwd);
  const auto stdin_path = WriteText(builder, job.stdin_path);
  const auto stdout_path = WriteText(builder, job.stdout_path);
  const auto stderr_path = WriteText(builder, job.stderr_path);
  const auto policy = WriteText(builder, job.policy);
  const auto ro = WriteTexts(builder, options.files["ro"]);
  const auto rw = WriteTexts(builder, options.files["rw"]);
  const auto tmpfs = WriteTexts(builder, options.files["tmpfs"]);
  const auto overlay = WriteTexts(builder, options.files["overlay"]);
  const auto overlay_kept = WriteTexts(builder, options.files["overlay_kept"]);
  const auto overlay_ro = WriteTexts(builder, options.files["overlay_ro"]);
  const auto overlay_below = WriteTexts(builder, options.files["overlay_below"]);
  const auto symlink = WriteTexts(builder, options.files["symlink"]);
  const auto dir = WriteTexts(builder, options.files["dir"]);
  const auto device = WriteTexts(builder, options.files["device"]);
  const auto net = WriteText(builder, options.net);
  const auto limits = HasAny(job.options.limits) ? EncodeLimits(builder, job.options.limits) : Offset<fbs::Limits>();
  std::vector<std::string> copy_in_texts;
  for (const CopyIn& copy : job.copy_in) copy_in_texts.push_back(CopyInText(copy));
  std::vector<std::string> copy_out_texts;
  for (const CopyOut& copy : job.copy_out) copy_out_texts.push_back(CopyOutText(copy));
  const auto copy_in = WriteTexts(builder, copy_in_texts);
  const auto copy_out = WriteTexts(builder, copy_out_texts);
  const auto tty = job.terminal.has_value() ? WriteText(builder, TerminalSizeText(*job.terminal)) : Offset<Text>();
  const auto programs = WriteTexts(builder, job.program_texts);
  const auto pipes = WriteTexts(builder, job.pipe_texts);
  const auto stop = job.program_texts.empty() ? Offset<Text>() : WriteText(builder, std::string(StopWord(job.stop)));
  const PolicyOptions& own = job.options;
  const auto label = WriteText(builder, own.label.value_or(""));
  const auto proc = own.proc.has_value() ? WriteText(builder, *own.proc == ProcAccess::kReadWrite ? "rw" : "ro") : Offset<Text>();
  const auto hostname = WriteText(builder, own.hostname.value_or(""));
  const auto groups = own.groups.has_value() ? builder.CreateVector(*own.groups) : Offset<flatbuffers::Vector<uint32_t>>();
  std::vector<std::string> layers;
  for (const Layer layer : own.allow_weaker) layers.emplace_back(LayerName(layer));
  const auto allow_weaker = WriteTexts(builder, layers);
  fbs::JobBuilder table(builder);
  table.add_id(id);
  table.add_argv(argv);
  table.add_target(target);
  table.add_args(args);
  table.add_env(env);
  table.add_cwd(cwd);
  table.add_stdin(stdin_path);
  table.add_stdout(stdout_path);
  table.add_stderr(stderr_path);
  table.add_policy(policy);
  table.add_ro(ro);
  table.add_rw(rw);
  table.add_tmpfs(tmpfs);
  table.add_overlay(overlay);
  table.add_overlay_kept(overlay_kept);
  table.add_overlay_ro(overlay_ro);
  table.add_overlay_below(overlay_below);
  table.add_symlink(symlink);
  table.add_dir(dir);
  table.add_device(device);
  table.add_net(net);
  table.add_limits(limits);
  if (job.retries.has_value()) table.add_retries(static_cast<uint32_t>(*job.retries));
  table.add_copy_in(copy_in);
  table.add_copy_out(copy_out);
  table.add_tty(tty);
  table.add_programs(programs);
  table.add_pipes(pipes);
  table.add_stop(stop);
  table.add_label(label);
  table.add_proc(proc);
  table.add_hostname(hostname);
  table.add_groups(groups);
  table.add_allow_weaker(allow_weaker);
  fbs::FinishJobBuffer(builder, table.Finish());
  return std::string(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize());
}

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
