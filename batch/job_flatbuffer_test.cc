#include "batch/job_flatbuffer.h"

#include "absl/strings/str_cat.h"
#include "batch/json.h"
#include "gtest/gtest.h"
#include "serialization/field_coverage.h"

#undef errno
#undef stdin
#undef stdout
#undef stderr
#include "serialization/job_generated.h"

namespace brood {
namespace {

// What a program's job can say, and what a function's can.
constexpr std::string_view kProgram =
    R"({"id":"a","argv":["gzip","","-t"],"env":["A=b","C"],"cwd":"/","stdin":"i","stdout":"o","stderr":"e",)"
    R"("policy":"strict","ro":["/in"],"rw":["/out:/o"],"tmpfs":["/scratch:1M","/other"],"overlay":["/lower:/view:2M","/both"],"overlay_kept":["/changes:/lower:/kept"],"overlay_ro":["/top:/merged"],"overlay_below":["/low:/merged","/lower2:/view","/lowest:/view"],"symlink":["a:/b:/link"],"dir":["/made:0700","/usual"],"device":["/dev/fuse","/dev/zero:/z"],"noexec":["/in","/scratch"],"net":"loopback",)"
    R"("limits":{"memory":"64M","processes":3,"cpu_time":"1.5s","wall_time":"5s","output":0,"file_size":"1K",)"
    R"("open_files":9,"core":7,"cpus":"1.5","cpu_weight":5,"io_weight":6,"io_rate":"1M","disk":"2M","cpu_set":"0-1,3","rlimits":["stack=8M","memlock=0"],"grace":"2s"},"retries":1,"copy_in":["a:/b"],"copy_out":["/tmp/c:d:1K","/tmp/e:f"],)"
    R"("label":"job-profile","proc":"rw","hostname":"inside","groups":[4,44],"allow_weaker":["memory","io"]})";

Job Program() { return ParseJobs(kProgram, "jobs").value()[0]; }

Job Function() {
  Job job;
  job.id = "b";
  job.target = "libjob.so:norm";
  job.args = {"1", "\"two\"", "[3,null]"};
  job.options.network = Network{.mode = NetworkMode::kAllow, .to = {"10.0.0.5:443"}};
  return job;
}

constexpr std::string_view kPrograms =
    R"({"id":"c","programs":[{"argv":["a"],"limits":{"memory":"1M"}},{"argv":["b","c"]}],"pipes":[{"from":"0.stdout","to":"1.stdin","keep":"1K"}],"stop":"end"})";
constexpr std::string_view kTerminal = R"({"id":"d","argv":["a"],"tty":"24x80"})";

Job Programs() { return ParseJobs(kPrograms, "jobs").value()[0]; }
Job OnTerminal() { return ParseJobs(kTerminal, "jobs").value()[0]; }

// Fails when a field is added to the schema and EncodeJob, the C++ type or these samples do not know of it.
TEST(JobFlatbufferTest, EveryFieldOfTheSchemaIsWritten) {
  std::set<std::string> written = SetFields(EncodeJob(Program()).value(), fbs::JobTypeTable());
  written.merge(SetFields(EncodeJob(Function()).value(), fbs::JobTypeTable()));
  written.merge(SetFields(EncodeJob(Programs()).value(), fbs::JobTypeTable()));
  written.merge(SetFields(EncodeJob(OnTerminal()).value(), fbs::JobTypeTable()));
  EXPECT_EQ(written, FieldsOf(fbs::JobTypeTable()));
}

// Fails when a field is written and DecodeJob does not read it.
TEST(JobFlatbufferTest, WhatIsWrittenIsReadBack) {
  for (const Job& job : {Program(), Function()}) {
    const std::string bytes = EncodeJob(job).value();
    const absl::StatusOr<Job> read = DecodeJob(bytes);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(EncodeJob(*read).value(), bytes);
    EXPECT_EQ(read->id, job.id);
    EXPECT_EQ(read->argv, job.argv);
    EXPECT_EQ(read->target, job.target);
    EXPECT_EQ(read->args, job.args);
    EXPECT_EQ(read->env, job.env);
    EXPECT_EQ(read->retries, job.retries);
    EXPECT_EQ(read->copy_in.size(), job.copy_in.size());
    EXPECT_EQ(read->copy_out.size(), job.copy_out.size());
    for (size_t i = 0; i < job.copy_out.size(); ++i) EXPECT_EQ(read->copy_out[i].max_bytes, job.copy_out[i].max_bytes);
    ASSERT_EQ(read->options.files.size(), job.options.files.size());
    for (size_t i = 0; i < job.options.files.size(); ++i) {
      EXPECT_EQ(read->options.files[i].layers, job.options.files[i].layers) << job.options.files[i].destination;
      EXPECT_EQ(read->options.files[i].text, job.options.files[i].text);
      EXPECT_EQ(read->options.files[i].mode, job.options.files[i].mode);
    }
    EXPECT_EQ(read->options.no_exec, job.options.no_exec);
    EXPECT_EQ(read->options.network->to, job.options.network->to);
    EXPECT_EQ(read->options.limits.cpu_time, job.options.limits.cpu_time);
    EXPECT_EQ(read->options.limits.output_bytes, job.options.limits.output_bytes);
    EXPECT_EQ(read->options.label, job.options.label);
    EXPECT_EQ(read->options.proc, job.options.proc);
    EXPECT_EQ(read->options.hostname, job.options.hostname);
    EXPECT_EQ(read->options.groups, job.options.groups);
    EXPECT_EQ(read->options.allow_weaker, job.options.allow_weaker);
  }
  for (const Job& job : {Programs(), OnTerminal()}) {
    const std::string bytes = EncodeJob(job).value();
    const absl::StatusOr<Job> read = DecodeJob(bytes);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(EncodeJob(*read).value(), bytes);
    EXPECT_EQ(read->program_texts, job.program_texts);
    EXPECT_EQ(read->pipe_texts, job.pipe_texts);
    EXPECT_EQ(read->stop, job.stop);
    EXPECT_EQ(read->terminal.has_value(), job.terminal.has_value());
  }
}

// Fails when a field is added to the schema and job files do not know of it, or the other way round.
TEST(JobFlatbufferTest, JobFilesHaveTheFieldsOfTheSchema) {
  std::set<std::string> fields;
  for (const std::string& field : FieldsOf(fbs::JobTypeTable())) {
    const size_t dot = field.find('.');
    const std::string line = dot == std::string::npos ? absl::StrCat(R"({"argv":["a"],")", field, R"(":true})")
                                                      : absl::StrCat(R"({"argv":["a"],")", field.substr(0, dot),
                                                                     R"(":{")", field.substr(dot + 1), R"(":true}})");
    // No field is a truth value, so that a known one is refused for its type.
    const std::string error(ParseJobs(line, "jobs").status().message());
    const std::string expected = field == "argv" ? "jobs:1: field \"argv\": given twice"
                                                 : absl::StrCat("jobs:1: field \"", field, "\": expected ");
    EXPECT_EQ(error.substr(0, expected.size()), expected);
  }
  const JsonValue sample = ParseJson(kProgram, {.file = "sample"}).value();
  const std::set<std::string> known = FieldsOf(fbs::JobTypeTable());
  for (const JsonMember& member : sample.members) EXPECT_TRUE(known.contains(member.name)) << member.name;
}

TEST(JobFlatbufferTest, EveryTruncationIsOneError) {
  for (const Job& job : {Program(), Function()}) {
    const std::string bytes = EncodeJob(job).value();
    for (size_t size = 0; size < bytes.size(); ++size) {
      const absl::StatusOr<Job> read = DecodeJob(std::string_view(bytes).substr(0, size));
      if (read.ok()) {
        // Only padding was cut off.
        EXPECT_EQ(EncodeJob(*read).value(), bytes) << size;
      } else {
        EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument) << read.status();
      }
    }
  }
}

// A flipped bit may give another valid job; it must never give anything but a job or one error.
TEST(JobFlatbufferTest, EveryFlippedBitGivesAJobOrOneError) {
  for (const Job& job : {Program(), Function()}) {
    std::string bytes = EncodeJob(job).value();
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
      const absl::StatusOr<Job> read = DecodeJob(bytes);
      EXPECT_TRUE(read.ok() || absl::IsInvalidArgument(read.status())) << read.status();
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    }
  }
}

// Of a job of several programs each says its own: a field beside them would count for none.
TEST(JobFlatbufferTest, NoFieldBesideProgramsIsDroppedInSilence) {
  const JsonValue sample = ParseJson(kProgram, {.file = "sample"}).value();
  for (const JsonMember& member : sample.members) {
    if (member.name == "id" || member.name == "retries") continue;
    const std::string line = absl::StrCat(R"({"programs":[{"argv":["a"]}],")", member.name, "\":", JsonTextOf(member.value), "}");
    const std::string error(ParseJobs(line, "jobs").status().message());
    const std::string expected = absl::StrCat("jobs:1: field \"", member.name, "\"");
    EXPECT_EQ(error.substr(0, expected.size()), expected) << line;
  }
}

TEST(JobFlatbufferTest, WhatALineCannotSayIsRefused) {
  Job job = Program();
  job.options.environment = EnvironmentBase::kEmpty;
  EXPECT_EQ(EncodeJob(job).status().code(), absl::StatusCode::kInvalidArgument);
  job = Program();
  job.options.files[0].optional = true;
  EXPECT_EQ(EncodeJob(job).status().message(), "field \"ro\": a job cannot say the rule for /in; use a policy file");
  job.options.files[0] = {.source = "/a:/b", .destination = "/c"};
  EXPECT_EQ(EncodeJob(job).status().message(), "field \"ro\": a job cannot say the rule for /c; use a policy file");
  job.options.files[0] = {.kind = FileRule::Kind::kFile, .destination = "/c", .text = "content"};
  EXPECT_EQ(EncodeJob(job).status().message(), "field \"content\": a job cannot say the rule for /c; use a policy file");
  job.options.files[0] = {.kind = FileRule::Kind::kTmpfs, .destination = "/c", .mode = 0700};
  EXPECT_EQ(EncodeJob(job).status().message(), "field \"tmpfs\": a job cannot say the rule for /c; use a policy file");
  EXPECT_EQ(DecodeJob(std::string(kMaxJobBytes + 1, 'x')).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace brood
