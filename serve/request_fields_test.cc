// Every field of a request, and what a client tries to get by it beyond the server's policy.
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "sandbox/policy_flatbuffer.h"
#include "serialization/field_coverage.h"
#include "serialization/serve_generated.h"
#include "serve/serve_testing.h"

namespace brood {
namespace {

using internal::RemoteLaunch;

// What a test tries. Gives "" if it got nothing.
using Try = std::function<std::string(const std::string& server)>;

struct Descriptors {
  UniqueFd root{open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  UniqueFd path{open("/etc/passwd", O_PATH | O_CLOEXEC)};
};

std::string Refused(const std::string& server, const std::function<void(RemoteLaunch&)>& change, std::string_view says) {
  GoodLaunch good("exit 0");
  change(good.launch);
  const RawClient client(server);
  if (const absl::Status sent = client.Launch(good.launch); !sent.ok()) return sent.ToString();
  const absl::Status refusal = client.Refusal();
  return absl::StrContains(refusal.message(), says) ? "" : absl::StrCat("not refused for ", says, ": ", refusal.ToString());
}

Outcome Ends(const std::string& server, const std::string& script, const std::function<void(RemoteLaunch&)>& change) {
  GoodLaunch good(script);
  change(good.launch);
  const RawClient client(server);
  EXPECT_EQ(client.Launch(good.launch), absl::OkStatus());
  return client.End();
}

std::string FailsIn(const std::string& server, const std::function<void(RemoteLaunch&)>& change, std::string_view step) {
  const Outcome outcome = Ends(server, "exit 0", change);
  const auto* failed = std::get_if<SetupFailed>(&outcome.ending);
  return failed != nullptr && failed->step == step ? "" : outcome.ToString();
}

// That of a function, whose message and result are `fd`.
void AskForFunction(RemoteLaunch& launch, int message, int result) {
  launch.argv.clear();
  launch.message = message;
  launch.result = result;
}

const std::map<std::string, std::vector<Try>>& Attempts() {
  static const Descriptors* const fds = new Descriptors;
  static const auto* const all = new std::map<std::string, std::vector<Try>>{
      {"name", {}},  // For people.
      {"argv",
       {// It is what the child's root shows.
        [](const std::string& s) { return FailsIn(s, [](RemoteLaunch& l) { l.argv = {"/root/anything"}; }, "exec"); },
        [](const std::string& s) { return Refused(s, [](RemoteLaunch& l) { l.argv = {std::string("a\0b", 3)}; }, "argv"); },
        [](const std::string& s) { return Refused(s, [](RemoteLaunch& l) { l.argv.clear(); }, "argv, message"); }}},
      {"message",
       {[](const std::string& s) {
          return Refused(s, [](RemoteLaunch& l) { AskForFunction(l, fds->root.get(), l.streams[0].fd); }, "message: is a directory");
        },
        [](const std::string& s) {
          return Refused(s, [](RemoteLaunch& l) { l.message = l.streams[0].fd; l.result = l.message; }, "argv, message");
        },
        // What is no message is the child's trouble.
        [](const std::string& s) {
          return FailsIn(s, [](RemoteLaunch& l) { AskForFunction(l, l.streams[0].fd, l.streams[0].fd); }, "bootstrap");
        }}},
      {"result",
       {[](const std::string& s) {
          return Refused(s, [](RemoteLaunch& l) { AskForFunction(l, l.streams[0].fd, fds->root.get()); }, "result: is a directory");
        },
        [](const std::string& s) { return Refused(s, [](RemoteLaunch& l) { l.result = l.streams[0].fd; }, "result"); }}},
      {"policy",  // Field by field: sandbox/ceiling_test.cc.
       {[](const std::string& s) {
          return Refused(s, [](RemoteLaunch& l) { l.policy = EncodePolicy(BuiltinPolicy("none").value()); }, "policy: namespaces");
        },
        [](const std::string& s) {
          return Refused(s, [](RemoteLaunch& l) { l.policy = EncodePolicy(BuiltinPolicy("default").value()); }, "policy: files");
        },
        [](const std::string& s) { return Refused(s, [](RemoteLaunch& l) { l.policy = "garbage"; }, "policy: "); }}},
      {"environment",
       {// A name alone would be the server's variable.
        [](const std::string& s) { return Refused(s, [](RemoteLaunch& l) { l.environment.emplace_back("OF_THE_SERVER"); }, "environment"); },
        [](const std::string& s) { return Refused(s, [](RemoteLaunch& l) { l.environment.emplace_back("=x"); }, "environment"); },
        [](const std::string& s) {
          const Outcome outcome = Ends(s, "test -z \"$OF_THE_SERVER\"", [](RemoteLaunch&) {});
          return outcome.ok() ? "" : outcome.ToString();
        }}},
      {"cwd",
       {[](const std::string& s) { return Refused(s, [](RemoteLaunch& l) { l.cwd = "tmp"; }, "cwd"); },
        [](const std::string& s) { return Refused(s, [](RemoteLaunch& l) { l.cwd = ""; }, "cwd"); },
        [](const std::string& s) { return FailsIn(s, [](RemoteLaunch& l) { l.cwd = "/root/secret"; }, "cwd"); },
        [](const std::string& s) {
          const Outcome outcome = Ends(s, "test \"$(ls ..)\" = \"$(ls /)\"", [](RemoteLaunch& l) { l.cwd = "/.."; });
          return outcome.ok() ? "" : outcome.ToString();
        }}},
      {"cwd_optional",
       {[](const std::string& s) {
          const Outcome outcome = Ends(s, "test \"$(pwd)\" = /", [](RemoteLaunch& l) { l.cwd = "/root/secret"; l.cwd_optional = true; });
          return outcome.ok() ? "" : outcome.ToString();
        }}},
      {"wait_for_tree",  // Not beyond the limits.
       {[](const std::string& s) {
          const Outcome outcome = Ends(s, "sleep 1000 & exit 0", [](RemoteLaunch& l) { l.wait_for_tree = true; });
          return std::holds_alternative<TimedOut>(outcome.ending) ? "" : outcome.ToString();
        }}},
      {"fresh",  // Only ever more.
       {[](const std::string& s) {
          const Outcome outcome = Ends(s, "exit 0", [](RemoteLaunch& l) { l.fresh = true; });
          return outcome.ok() ? "" : outcome.ToString();
        }}},
      {"violation_stack",  // Of the child's own functions.
       {[](const std::string& s) {
          const Outcome outcome = Ends(s, "exit 0", [](RemoteLaunch& l) { l.violation_stack = true; });
          return outcome.ok() ? "" : outcome.ToString();
        }}},
      {"template_path",
       {[](const std::string& s) {
          return Refused(s, [](RemoteLaunch& l) { l.template_path = "model"; }, "template_path");
        }}},
      {"file_mask",
       {[](const std::string& s) { return Refused(s, [](RemoteLaunch& l) { l.file_mask = 01000; }, "file_mask"); },
        [](const std::string& s) {
          const Outcome outcome = Ends(s, "test $(umask) = 0031", [](RemoteLaunch& l) { l.file_mask = 031; });
          return outcome.ok() ? "" : outcome.ToString();
        }}},
      {"nice",  // The server's, unless it is the higher priority.
       {[](const std::string& s) { return Refused(s, [](RemoteLaunch& l) { l.nice = 20; }, "nice"); },
        [](const std::string& s) {
          const Outcome outcome = Ends(s, absl::StrCat("test $(nice) = ", getpriority(PRIO_PROCESS, 0)), [](RemoteLaunch& l) { l.nice = -20; });
          return outcome.ok() ? "" : outcome.ToString();
        },
        [](const std::string& s) {
          const Outcome outcome = Ends(s, "test $(nice) = 17", [](RemoteLaunch& l) { l.nice = 17; });
          return outcome.ok() ? "" : outcome.ToString();
        }}},
      {"limits.resource",
       {[](const std::string& s) {
          const Outcome outcome = Ends(s, "exit 0", [](RemoteLaunch& l) { l.limits = {{.resource = ~uint32_t{0}, .soft = 0, .hard = 0}}; });
          return outcome.ok() ? "" : outcome.ToString();
        }}},
      {"limits.soft",
       {[](const std::string& s) {
          return Refused(s, [](RemoteLaunch& l) { l.limits = {{.resource = RLIMIT_NOFILE, .soft = 100, .hard = 99}}; }, "limits");
        },
        [](const std::string& s) {
          const Outcome outcome = Ends(s, "test $(ulimit -Sn) = 99", [](RemoteLaunch& l) { l.limits = {{.resource = RLIMIT_NOFILE, .soft = 99, .hard = 120}}; });
          return outcome.ok() ? "" : outcome.ToString();
        }}},
      {"limits.hard",  // Not above the server's.
       {[](const std::string& s) {
          const Outcome outcome = Ends(s, "test $(ulimit -Hn) = 777", [](RemoteLaunch& l) {
            l.limits = {{.resource = RLIMIT_NOFILE, .soft = RLIM_INFINITY, .hard = RLIM_INFINITY}};
          });
          return outcome.ok() ? "" : outcome.ToString();
        }}},
      {"streams.fd",
       {[](const std::string& s) {
          return Refused(s, [](RemoteLaunch& l) { l.streams[0].fd = fds->root.get(); }, "stdin: is a directory");
        },
        [](const std::string& s) {
          return Refused(s, [](RemoteLaunch& l) { l.streams[1].fd = fds->root.get(); }, "stdout: is a directory");
        },
        [](const std::string& s) {
          return Refused(s, [](RemoteLaunch& l) { l.streams[2].fd = fds->path.get(); }, "stderr: is only a path");
        },
        [](const std::string& s) { return Refused(s, [](RemoteLaunch& l) { l.streams[0].fd = -1; }, "streams"); }}},
      {"streams.keeps",
       {[](const std::string& s) { return Refused(s, [](RemoteLaunch& l) { l.streams[0].keeps = true; }, "streams"); }}},
      {"streams.keep_bytes",  // More than may be written is not kept either.
       {[](const std::string& s) {
          const UniqueFd memory(memfd_create("kept", MFD_CLOEXEC));
          const Outcome outcome = Ends(s, "exec yes", [&](RemoteLaunch& l) {
            l.streams[1] = {.fd = memory.get(), .keeps = true, .keep_bytes = ~uint64_t{0}};
          });
          const auto* hit = std::get_if<LimitHit>(&outcome.ending);
          const bool kept = hit != nullptr && hit->limit == Layer::kOutput && lseek(memory.get(), 0, SEEK_END) <= 64 << 10;
          return kept ? "" : outcome.ToString();
        }}},
      {"streams.merged",
       {[](const std::string& s) { return Refused(s, [](RemoteLaunch& l) { l.streams[0] = {.merged = true}; }, "streams"); },
        [](const std::string& s) { return Refused(s, [](RemoteLaunch& l) { l.streams[2].merged = true; }, "streams"); }}},
      {"inherited.fd",
       {[](const std::string& s) {
          return Refused(s, [](RemoteLaunch& l) { l.inherited = {{.fd = fds->root.get(), .child_fd = 9}}; }, "inherited 9: is a directory");
        },
        [](const std::string& s) {
          return Refused(s, [](RemoteLaunch& l) { l.inherited = {{.fd = fds->path.get(), .child_fd = 9}}; }, "inherited 9: is only a path");
        },
        // One that was opened to read cannot be opened to write.
        [](const std::string& s) {
          char name[] = "/tmp/serve_test.XXXXXX";
          const UniqueFd file(mkostemp(name, O_CLOEXEC));
          const UniqueFd to_read(open(name, O_RDONLY | O_CLOEXEC));
          unlink(name);
          const Outcome outcome = Ends(s, "! (echo x > /proc/self/fd/9) 2>/dev/null",
                                       [&](RemoteLaunch& l) { l.inherited = {{.fd = to_read.get(), .child_fd = 9}}; });
          return outcome.ok() && lseek(file.get(), 0, SEEK_END) == 0 ? "" : outcome.ToString();
        }}},
      {"inherited.child",
       {[](const std::string& s) {
          for (const int number : {-1, 0, 2, 4097}) {
            const std::string got = Refused(s, [&](RemoteLaunch& l) { l.inherited = {{.fd = l.streams[0].fd, .child_fd = number}}; }, "must be 3 to 4096");
            if (!got.empty()) return got;
          }
          return std::string();
        },
        [](const std::string& s) {
          return Refused(s, [](RemoteLaunch& l) { l.inherited = {{l.streams[0].fd, 9}, {l.streams[1].fd, 9}}; }, "is given twice");
        },
        // A function's own.
        [](const std::string& s) {
          for (const int number : {3, 4, 5}) {
            const std::string got = Refused(s, [&](RemoteLaunch& l) {
              AskForFunction(l, l.streams[0].fd, l.streams[0].fd);
              l.inherited = {{l.streams[0].fd, number}};
            }, "is given twice");
            if (!got.empty()) return got;
          }
          return std::string();
        }}},
      {"control",
       {[](const std::string& s) { return Refused(s, [](RemoteLaunch& l) { l.control = l.streams[0].fd; }, "control"); },
        [](const std::string& s) { return Refused(s, [](RemoteLaunch& l) { l.control = -1; }, "control"); }}},
  };
  return *all;
}

TEST(RequestFieldsTest, EveryFieldOfTheSchemaIsTried) {
  std::set<std::string> tried;
  for (const auto& [field, attempts] : Attempts()) tried.insert(field);
  std::set<std::string> fields = FieldsOf(fbs::ServeLaunchTypeTable());
  for (const char* table : {"streams", "inherited", "limits"}) fields.erase(table);
  EXPECT_EQ(tried, fields);
}

TEST(RequestFieldsTest, NothingBeyondThePolicyIsGotByAnyField) {
  ServeOptions options;
  options.policy = BuiltinPolicy("strict").value();
  options.policy.limits.wall_time = absl::Seconds(2);
  options.policy.limits.output_bytes = 64 << 10;
  setenv("OF_THE_SERVER", "secret", 1);
  ServerProcess server(options, 777);
  for (const auto& [field, attempts] : Attempts()) {
    for (size_t i = 0; i < attempts.size(); ++i) EXPECT_EQ(attempts[i](server.path()), "") << field << ", attempt " << i;
  }
  EXPECT_TRUE(Serves(server.path()));
}

}  // namespace
}  // namespace brood
