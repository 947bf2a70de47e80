// A refusal costs no allocation once an evaluator is warm: a plugin that sends refused replies in a loop costs time
// only.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "policy/policy.h"

// A sanitizer brings its own.
#ifndef BULKHEAD_SANITIZED

namespace {
std::atomic<size_t> allocations{0};
}  // namespace

void* operator new(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* const memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) std::abort();
  return memory;
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t /*size*/) noexcept {
  std::free(memory);
}

namespace bulkhead::policy {
namespace {

TEST(Allocations, NoneAreMadeByAWarmEvaluator) {
  auto set = LoadPolicies({std::string(BULKHEAD_TESTS) + "/policy/policies/open.yaml"});
  ASSERT_TRUE(set.ok()) << set.error().message();
  const Value sent = Value::Object();
  Call call;
  call.subject = {"p", "template.execute", "ci", "wf", "t"};
  call.sent = &sent;
  Call foreign = call;
  foreign.subject.plugin = "q";
  struct Case {
    const Call* call;
    const char* reply;
    Decision::Kind kind;
  };
  const Case cases[] = {
      {&call,
       R"({"node":{"phase":"Succeeded","outputs":{"parameters":[{"name":"a","value":"1"},{"name":"\u0062","value":2}]}}})",
       Decision::Kind::kAllowed},
      {&call, R"({"node":{"phase":"Nonsense"}})", Decision::Kind::kRefused},
      {&call, R"({"node":{"phase":"Succeeded","message":"{{x}}"}})", Decision::Kind::kRefused},
      {&call, R"({"node":{"outputs":{"parameters":[{"name":"a","globalName":"g"}]}}})", Decision::Kind::kRefused},
      {&call, R"({"node":{"outputs":{"parameters":[{"name":"a"},{"name":"a"}]}}})", Decision::Kind::kRefused},
      {&call, R"({"node":{"phase":"Running"},"requeue":"5h"})", Decision::Kind::kRefused},
      {&call, R"({"node":{"phase":"a","phase":"b"}})", Decision::Kind::kRefused},
      {&call, R"({"node":{"phase":1}})", Decision::Kind::kRefused},
      {&call, R"({"node":{"Phase":"Succeeded"}})", Decision::Kind::kRefused},
      {&call, R"({"node":{"phase":"Succeeded"}} and more)", Decision::Kind::kRefused},
      {&call, R"({"node":{"phase":"Succe)", Decision::Kind::kRefused},
      {&foreign, R"({"node":{"phase":"Succeeded"}})", Decision::Kind::kRefused},
  };
  Evaluator evaluator;
  for (int warm = 0; warm < 3; ++warm) {
    for (const Case& one : cases) EXPECT_EQ(evaluator.Decide(*set, *one.call, one.reply).kind, one.kind) << one.reply;
  }
  for (const Case& one : cases) {
    const std::string_view reply = one.reply;
    const size_t before = allocations.load();
    evaluator.Decide(*set, *one.call, reply);
    EXPECT_EQ(allocations.load() - before, 0U) << reply;
  }
}

}  // namespace
}  // namespace bulkhead::policy

#endif  // BULKHEAD_SANITIZED
