#include "runner/base/argo_schema.h"

#include <algorithm>
#include <array>

namespace bulkhead {

namespace {

using enum FieldType;

constexpr std::string_view kGlobals = "argo.globals";
constexpr std::string_view kResultOnly = "argo.result-only";
constexpr std::string_view kLocations = "argo.artifact-locations";

// Below a guarded field every leaf has its guard, so the inner tables name none.
constexpr std::array kSelectorFields = std::to_array<FieldSpec>({{"name"}, {"key"}, {"optional", kBool}});
constexpr StructSpec kSelector = {"selector", kSelectorFields};

constexpr std::array kValueFromFields = std::to_array<FieldSpec>({
    {"path"},
    {"jsonPath"},
    {"jqFilter"},
    {"event"},
    {"parameter"},
    {"supplied", kAnything},
    {"configMapKeyRef", kStruct, &kSelector},
    {"default", kAnyString},
    {"expression"},
});
constexpr StructSpec kValueFrom = {"valueFrom", kValueFromFields};

constexpr std::array kParameterFields = std::to_array<FieldSpec>({
    {"name"},
    {"value", kAnyString},
    {"default", kAnyString, nullptr, kResultOnly},
    {"valueFrom", kStruct, &kValueFrom, kResultOnly},
    {"globalName", kString, nullptr, kGlobals},
    {"enum", kStrings, nullptr, kResultOnly},
    {"description", kString, nullptr, kResultOnly},
});
constexpr StructSpec kParameter = {"parameter", kParameterFields};

constexpr std::array kTarFields = std::to_array<FieldSpec>({{"compressionLevel", kInteger}});
constexpr StructSpec kTar = {"tar", kTarFields};
constexpr std::array kArchiveFields =
    std::to_array<FieldSpec>({{"none", kAnything}, {"tar", kStruct, &kTar}, {"zip", kAnything}});
constexpr StructSpec kArchive = {"archive", kArchiveFields};

constexpr std::array kMetadataFields = std::to_array<FieldSpec>({{"labels", kStringMap}, {"annotations", kStringMap}});
constexpr StructSpec kMetadata = {"podMetadata", kMetadataFields};
constexpr std::array kGcFields =
    std::to_array<FieldSpec>({{"strategy"}, {"podMetadata", kStruct, &kMetadata}, {"serviceAccountName"}});
constexpr StructSpec kGc = {"artifactGC", kGcFields};

constexpr std::array kBucketOptionsFields = std::to_array<FieldSpec>({{"objectLocking", kBool}});
constexpr StructSpec kBucketOptions = {"createBucketIfNotPresent", kBucketOptionsFields};
constexpr std::array kEncryptionFields =
    std::to_array<FieldSpec>({{"kmsKeyId"},
                              {"kmsEncryptionContext"},
                              {"enableEncryption", kBool},
                              {"serverSideCustomerKeySecret", kStruct, &kSelector}});
constexpr StructSpec kEncryption = {"encryptionOptions", kEncryptionFields};
constexpr std::array kS3Fields = std::to_array<FieldSpec>({
    {"key"},
    {"endpoint"},
    {"bucket"},
    {"region"},
    {"insecure", kBool},
    {"accessKeySecret", kStruct, &kSelector},
    {"secretKeySecret", kStruct, &kSelector},
    {"sessionTokenSecret", kStruct, &kSelector},
    {"roleARN"},
    {"useSDKCreds", kBool},
    {"createBucketIfNotPresent", kStruct, &kBucketOptions},
    {"encryptionOptions", kStruct, &kEncryption},
    {"caSecret", kStruct, &kSelector},
    {"addressingStyle"},
});
constexpr StructSpec kS3 = {"s3", kS3Fields};

constexpr std::array kGitFields = std::to_array<FieldSpec>({
    {"repo"},
    {"revision"},
    {"depth", kInteger},
    {"fetch", kStrings},
    {"usernameSecret", kStruct, &kSelector},
    {"passwordSecret", kStruct, &kSelector},
    {"sshPrivateKeySecret", kStruct, &kSelector},
    {"insecureIgnoreHostKey", kBool},
    {"insecureSkipTLS", kBool},
    {"disableSubmodules", kBool},
    {"singleBranch", kBool},
    {"branch"},
});
constexpr StructSpec kGit = {"git", kGitFields};

constexpr std::array kHttpFields =
    std::to_array<FieldSpec>({{"url"}, {"headers", kAnything}, {"auth", kAnything}, {"saveStreamViaFile", kBool}});
constexpr StructSpec kHttp = {"http", kHttpFields};

constexpr std::array kArtifactoryFields = std::to_array<FieldSpec>(
    {{"url"}, {"usernameSecret", kStruct, &kSelector}, {"passwordSecret", kStruct, &kSelector}});
constexpr StructSpec kArtifactory = {"artifactory", kArtifactoryFields};

constexpr std::array kHdfsFields = std::to_array<FieldSpec>({
    {"addresses", kStrings},
    {"path"},
    {"force", kBool},
    {"hdfsUser"},
    {"krbCCacheSecret", kStruct, &kSelector},
    {"krbKeytabSecret", kStruct, &kSelector},
    {"krbUsername"},
    {"krbRealm"},
    {"krbConfigConfigMap", kStruct, &kSelector},
    {"krbServicePrincipalName"},
    {"dataTransferProtection"},
});
constexpr StructSpec kHdfs = {"hdfs", kHdfsFields};

constexpr std::array kRawFields = std::to_array<FieldSpec>({{"data"}});
constexpr StructSpec kRaw = {"raw", kRawFields};

constexpr std::array kLifecycleFields =
    std::to_array<FieldSpec>({{"markInfrequentAccessAfterDays", kInteger}, {"markDeletionAfterDays", kInteger}});
constexpr StructSpec kLifecycle = {"lifecycleRule", kLifecycleFields};
constexpr std::array kOssFields = std::to_array<FieldSpec>({
    {"key"},
    {"endpoint"},
    {"bucket"},
    {"accessKeySecret", kStruct, &kSelector},
    {"secretKeySecret", kStruct, &kSelector},
    {"createBucketIfNotPresent", kBool},
    {"securityToken"},
    {"lifecycleRule", kStruct, &kLifecycle},
    {"useSDKCreds", kBool},
});
constexpr StructSpec kOss = {"oss", kOssFields};

constexpr std::array kGcsFields =
    std::to_array<FieldSpec>({{"key"}, {"bucket"}, {"serviceAccountKeySecret", kStruct, &kSelector}});
constexpr StructSpec kGcs = {"gcs", kGcsFields};

constexpr std::array kAzureFields = std::to_array<FieldSpec>(
    {{"endpoint"}, {"container"}, {"blob"}, {"accountKeySecret", kStruct, &kSelector}, {"useSDKCreds", kBool}});
constexpr StructSpec kAzure = {"azure", kAzureFields};

constexpr std::array kPluginFields =
    std::to_array<FieldSpec>({{"name"}, {"configuration"}, {"connectionTimeoutSeconds", kInteger}, {"key"}});
constexpr StructSpec kPlugin = {"plugin", kPluginFields};

constexpr std::array kArtifactFields = std::to_array<FieldSpec>({
    {"name"},
    {"path", kString, nullptr, kLocations},
    {"mode", kInteger, nullptr, kLocations},
    {"recurseMode", kBool, nullptr, kLocations},
    {"from", kString, nullptr, kLocations},
    {"fromExpression", kString, nullptr, kLocations},
    {"subPath", kString, nullptr, kLocations},
    {"globalName", kString, nullptr, kGlobals},
    {"archive", kStruct, &kArchive, kLocations},
    {"optional", kBool, nullptr, kLocations},
    {"deleted", kBool, nullptr, kLocations},
    {"artifactGC", kStruct, &kGc, kLocations},
    {"archiveLogs", kBool, nullptr, kLocations},
    {"s3", kStruct, &kS3, kLocations},
    {"git", kStruct, &kGit, kLocations},
    {"http", kStruct, &kHttp, kLocations},
    {"artifactory", kStruct, &kArtifactory, kLocations},
    {"hdfs", kStruct, &kHdfs, kLocations},
    {"raw", kStruct, &kRaw, kLocations},
    {"oss", kStruct, &kOss, kLocations},
    {"gcs", kStruct, &kGcs, kLocations},
    {"azure", kStruct, &kAzure, kLocations},
    {"plugin", kStruct, &kPlugin, kLocations},
});
constexpr StructSpec kArtifact = {"artifact", kArtifactFields};

constexpr std::array kOutputsFields = std::to_array<FieldSpec>({
    {"parameters", kKeyedList, &kParameter},
    {"artifacts", kKeyedList, &kArtifact},
    {"result"},
    {"exitCode"},
});
constexpr StructSpec kOutputs = {"outputs", kOutputsFields};

constexpr std::array kNodeFields =
    std::to_array<FieldSpec>({{"phase"}, {"message"}, {"outputs", kStruct, &kOutputs}, {"progress"}});
constexpr StructSpec kNode = {"node", kNodeFields};

constexpr std::array kReplyFields = std::to_array<FieldSpec>({{"node", kStruct, &kNode}, {"requeue", kDuration}});
constexpr StructSpec kReply = {"reply", kReplyFields};

}  // namespace

const FieldSpec* StructSpec::Find(std::string_view field) const {
  const auto* const found = std::find_if(fields.begin().base(), fields.end().base(),
                                         [&](const FieldSpec& spec) { return spec.name == field; });
  return found == fields.end().base() ? nullptr : found;
}

const StructSpec& ExecuteReplySpec() {
  return kReply;
}

}  // namespace bulkhead
