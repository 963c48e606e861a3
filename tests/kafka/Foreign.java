// A Kafka client that shares no code with ours: Java's producer, consumer and admin behind lines of JSON.
//
//   java -cp '<kafka libs>/*' Foreign.java
//
// Each line on stdin is a request {"id", "op", "client": {properties}, ...}; each line on stdout is an answer: any number of
// {"id", "records": [...]}, then one of {"id", "done": ...} and {"id", "error": "<class>: <message>"}. Requests run side by
// side. Keys, values and header values are base64. The end of stdin ends the process.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Foreign {
    static final ObjectMapper JSON = new ObjectMapper();
    static final PrintStream OUT = System.out;
    static final Map<String, Admin> ADMINS = new ConcurrentHashMap<>();
    static final Map<String, KafkaProducer<byte[], byte[]>> PRODUCERS = new ConcurrentHashMap<>();
    static final Set<Long> FOLLOWED = ConcurrentHashMap.newKeySet();

    public static void main(String[] args) throws Exception {
        // Whatever a library prints must not get between our lines.
        System.setOut(System.err);
        ExecutorService requests = Executors.newCachedThreadPool();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8), 1 << 16);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode request = JSON.readTree(line);
            requests.execute(() -> answer(request));
        }
        Runtime.getRuntime().halt(0);
    }

    static void answer(JsonNode request) {
        long id = request.get("id").asLong();
        ObjectNode answer = JSON.createObjectNode().put("id", id);
        try {
            answer.set("done", run(id, request));
        } catch (Throwable thrown) {
            Throwable cause = thrown instanceof ExecutionException ? thrown.getCause() : thrown;
            answer.put("error", cause.getClass().getSimpleName() + ": " + cause.getMessage());
        }
        say(answer);
    }

    static void say(JsonNode line) {
        synchronized (OUT) {
            OUT.print(line + "\n");
            OUT.flush();
        }
    }

    static JsonNode run(long id, JsonNode r) throws Exception {
        switch (r.get("op").asText()) {
            case "produce": return produce(r);
            case "consume": return consume(id, r);
            case "follow": return follow(id, r);
            case "stop": return JSON.valueToTree(FOLLOWED.remove(r.get("target").asLong()));
            case "cluster": return cluster(r);
            case "create_topic": return createTopic(r);
            case "delete_topic": return done(admin(r).deleteTopics(List.of(topic(r))).all());
            case "delete_topics": return deleteTopics(r);
            case "add_partitions": return done(admin(r)
                .createPartitions(Map.of(topic(r), NewPartitions.increaseTo(r.get("partitions").asInt()))).all());
            case "topics": return JSON.valueToTree(
                admin(r).listTopics(new ListTopicsOptions().listInternal(true)).names().get());
            case "describe_topic": return describeTopic(r);
            case "topic_config": return topicConfig(r);
            case "set_topic_config": return setTopicConfig(r);
            case "offsets": return offsets(r);
            case "delete_records": return done(admin(r).deleteRecords(Map.of(
                new TopicPartition(topic(r), r.get("partition").asInt()),
                RecordsToDelete.beforeOffset(r.get("before").asLong()))).all());
            case "group": return group(r);
            case "groups": return groups(r);
            case "group_offsets": return groupOffsets(r);
            case "set_group_offset": return done(admin(r).alterConsumerGroupOffsets(text(r, "group"), Map.of(
                new TopicPartition(topic(r), r.get("partition").asInt()),
                new OffsetAndMetadata(r.get("offset").asLong()))).all());
            case "delete_group": return done(admin(r).deleteConsumerGroups(List.of(text(r, "group"))).all());
            case "transactions": return transactions(r);
            case "fence": return done(admin(r).fenceProducers(List.of(text(r, "transactional_id"))).all());
            case "allow": return done(admin(r).createAcls(List.of(acl(r, AclPermissionType.ALLOW))).all());
            case "deny": return done(admin(r).createAcls(List.of(acl(r, AclPermissionType.DENY))).all());
            case "undeny": return done(admin(r).deleteAcls(List.of(acl(r, AclPermissionType.DENY).toFilter())).all());
            case "scram_user": return scramUser(r);
            case "producer_quota": return producerQuota(r);
            default: throw new IllegalArgumentException("unknown op " + r.get("op"));
        }
    }

    static JsonNode done(org.apache.kafka.common.KafkaFuture<?> future) throws Exception {
        future.get();
        return JSON.createObjectNode();
    }

    static String text(JsonNode r, String field) {
        return r.get(field).asText();
    }

    static String topic(JsonNode r) {
        return text(r, "topic");
    }

    static byte[] bytes(JsonNode node) {
        return node == null || node.isNull() ? null : Base64.getDecoder().decode(node.asText());
    }

    static Properties properties(JsonNode r) {
        Properties properties = new Properties();
        r.get("client").fields().forEachRemaining(e -> properties.put(e.getKey(), e.getValue().asText()));
        return properties;
    }

    static Admin admin(JsonNode r) {
        return ADMINS.computeIfAbsent(r.get("client").toString(), key -> {
            Properties properties = properties(r);
            properties.putIfAbsent("default.api.timeout.ms", "30000");
            return Admin.create(properties);
        });
    }

    // ---- records

    static JsonNode produce(JsonNode r) throws Exception {
        KafkaProducer<byte[], byte[]> producer = PRODUCERS.computeIfAbsent(r.get("client").toString(), key -> {
            Properties properties = properties(r);
            properties.putIfAbsent("linger.ms", "2");
            properties.putIfAbsent("batch.size", "131072");
            return new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
        });
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (JsonNode record : r.get("records")) {
            Integer partition = record.hasNonNull("p") ? Integer.valueOf(record.get("p").asInt()) : null;
            Long timestamp = record.hasNonNull("t") ? Long.valueOf(record.get("t").asLong()) : null;
            ProducerRecord<byte[], byte[]> message = new ProducerRecord<>(
                topic(r), partition, timestamp, bytes(record.get("k")), bytes(record.get("v")));
            for (JsonNode header : record.path("h")) {
                message.headers().add(header.get(0).asText(), bytes(header.get(1)));
            }
            sent.add(producer.send(message));
        }
        producer.flush();
        ArrayNode places = JSON.createArrayNode();
        for (Future<RecordMetadata> future : sent) {
            RecordMetadata place = future.get();
            places.addArray().add(place.partition()).add(place.offset());
        }
        return places;
    }

    static KafkaConsumer<byte[], byte[]> consumer(JsonNode r) {
        Properties properties = properties(r);
        properties.put("isolation.level", text(r, "isolation"));
        properties.put("auto.offset.reset", "none");
        properties.put("enable.auto.commit", "false");
        properties.put("max.poll.records", "2000");
        properties.putIfAbsent("fetch.max.wait.ms", "20");
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    // Reads from "from" (or the beginning) to the end that there is at the time of asking.
    static JsonNode consume(long id, JsonNode r) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(r)) {
            List<TopicPartition> partitions = assign(consumer, r);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            Set<TopicPartition> left = new HashSet<>(partitions);
            long deadline = System.currentTimeMillis() + r.path("timeout_ms").asLong(60000);
            while (true) {
                left.removeIf(partition -> consumer.position(partition) >= ends.get(partition));
                if (left.isEmpty()) {
                    break;
                }
                if (System.currentTimeMillis() > deadline) {
                    throw new IllegalStateException("not read to the end in time: " + left + " of " + ends);
                }
                tell(id, consumer.poll(Duration.ofMillis(100)), ends);
            }
            ObjectNode positions = JSON.createObjectNode();
            for (TopicPartition partition : partitions) {
                positions.put(String.valueOf(partition.partition()), ends.get(partition));
            }
            return positions;
        }
    }

    // Reads on and on, and says of each record when it came, until a "stop".
    static JsonNode follow(long id, JsonNode r) {
        FOLLOWED.add(id);
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(r)) {
            assign(consumer, r).forEach(consumer::position);
            say(JSON.createObjectNode().put("id", id).set("records", JSON.createArrayNode()));
            while (FOLLOWED.contains(id)) {
                tell(id, consumer.poll(Duration.ofMillis(100)), null);
            }
            return JSON.createObjectNode();
        }
    }

    static List<TopicPartition> assign(KafkaConsumer<byte[], byte[]> consumer, JsonNode r) {
        List<TopicPartition> partitions = new ArrayList<>();
        consumer.partitionsFor(topic(r)).forEach(p -> partitions.add(new TopicPartition(p.topic(), p.partition())));
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        if (r.path("start").asText().equals("end")) {
            consumer.seekToEnd(partitions);
        }
        r.path("from").fields().forEachRemaining(e ->
            consumer.seek(new TopicPartition(topic(r), Integer.parseInt(e.getKey())), e.getValue().asLong()));
        return partitions;
    }

    static void tell(long id, Iterable<ConsumerRecord<byte[], byte[]>> records, Map<TopicPartition, Long> ends) {
        ObjectNode line = JSON.createObjectNode().put("id", id);
        ArrayNode list = line.putArray("records");
        long now = System.currentTimeMillis();
        for (ConsumerRecord<byte[], byte[]> record : records) {
            TopicPartition partition = new TopicPartition(record.topic(), record.partition());
            if (ends != null && record.offset() >= ends.get(partition)) {
                continue;
            }
            ObjectNode node = list.addObject();
            node.put("p", record.partition()).put("o", record.offset()).put("t", record.timestamp()).put("at", now);
            node.put("k", record.key()).put("v", record.value());
            ArrayNode headers = node.putArray("h");
            for (Header header : record.headers()) {
                headers.addArray().add(header.key()).add(header.value());
            }
        }
        if (!list.isEmpty()) {
            say(line);
        }
    }

    // ---- the cluster and its topics

    static JsonNode cluster(JsonNode r) throws Exception {
        DescribeClusterResult cluster = admin(r).describeCluster(new DescribeClusterOptions().timeoutMs(5000));
        ObjectNode node = JSON.createObjectNode().put("nodes", cluster.nodes().get().size());
        return node.put("controller", cluster.controller().get().id());
    }

    static JsonNode createTopic(JsonNode r) throws Exception {
        Map<String, String> configs = new HashMap<>();
        r.path("configs").fields().forEachRemaining(e -> configs.put(e.getKey(), e.getValue().asText()));
        NewTopic topic = new NewTopic(topic(r), Optional.of(r.get("partitions").asInt()), Optional.empty());
        return done(admin(r).createTopics(List.of(topic.configs(configs))).all());
    }

    static JsonNode deleteTopics(JsonNode r) throws Exception {
        Set<String> names = new HashSet<>(admin(r).listTopics().names().get());
        names.removeIf(name -> !name.startsWith(text(r, "prefix")));
        return done(admin(r).deleteTopics(names).all());
    }

    static JsonNode describeTopic(JsonNode r) throws Exception {
        ArrayNode list = JSON.createArrayNode();
        for (TopicPartitionInfo info : admin(r).describeTopics(List.of(topic(r))).allTopicNames().get().get(topic(r)).partitions()) {
            ObjectNode node = list.addObject().put("partition", info.partition());
            node.put("leader", info.leader() == null ? -1 : info.leader().id());
            node.put("isr", info.isr().size()).put("replicas", info.replicas().size());
        }
        return list;
    }

    static ConfigResource resource(JsonNode r) {
        return new ConfigResource(ConfigResource.Type.TOPIC, topic(r));
    }

    static JsonNode topicConfig(JsonNode r) throws Exception {
        ObjectNode node = JSON.createObjectNode();
        admin(r).describeConfigs(List.of(resource(r))).all().get().get(resource(r)).entries()
            .forEach(entry -> node.put(entry.name(), entry.value()));
        return node;
    }

    static JsonNode setTopicConfig(JsonNode r) throws Exception {
        Collection<AlterConfigOp> ops = new ArrayList<>();
        r.get("configs").fields().forEachRemaining(e ->
            ops.add(new AlterConfigOp(new ConfigEntry(e.getKey(), e.getValue().asText()), AlterConfigOp.OpType.SET)));
        return done(admin(r).incrementalAlterConfigs(Map.of(resource(r), ops)).all());
    }

    static JsonNode offsets(JsonNode r) throws Exception {
        Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
        OffsetSpec spec = text(r, "which").equals("earliest") ? OffsetSpec.earliest() : OffsetSpec.latest();
        admin(r).describeTopics(List.of(topic(r))).allTopicNames().get().get(topic(r)).partitions()
            .forEach(p -> asked.put(new TopicPartition(topic(r), p.partition()), spec));
        IsolationLevel isolation = text(r, "which").equals("committed")
            ? IsolationLevel.READ_COMMITTED : IsolationLevel.READ_UNCOMMITTED;
        ObjectNode node = JSON.createObjectNode();
        admin(r).listOffsets(asked, new ListOffsetsOptions(isolation)).all().get()
            .forEach((partition, info) -> node.put(String.valueOf(partition.partition()), info.offset()));
        return node;
    }

    // ---- groups and transactions

    static JsonNode group(JsonNode r) throws Exception {
        ConsumerGroupDescription group =
            admin(r).describeConsumerGroups(List.of(text(r, "group"))).all().get().get(text(r, "group"));
        ObjectNode node = JSON.createObjectNode().put("state", group.groupState().toString());
        node.put("coordinator", group.coordinator().id());
        ArrayNode members = node.putArray("members");
        for (MemberDescription member : group.members()) {
            ObjectNode one = members.addObject().put("client_id", member.clientId()).put("id", member.consumerId());
            ArrayNode partitions = one.putArray("partitions");
            member.assignment().topicPartitions().forEach(p -> partitions.addArray().add(p.topic()).add(p.partition()));
        }
        return node;
    }

    static JsonNode groups(JsonNode r) throws Exception {
        ArrayNode list = JSON.createArrayNode();
        admin(r).listGroups().all().get().forEach(group -> list.add(group.groupId()));
        return list;
    }

    static JsonNode groupOffsets(JsonNode r) throws Exception {
        ObjectNode node = JSON.createObjectNode();
        admin(r).listConsumerGroupOffsets(text(r, "group")).partitionsToOffsetAndMetadata().get().forEach((p, offset) -> {
            if (offset != null) {
                node.withObjectProperty(p.topic()).put(String.valueOf(p.partition()), offset.offset());
            }
        });
        return node;
    }

    static JsonNode transactions(JsonNode r) throws Exception {
        ArrayNode list = JSON.createArrayNode();
        for (TransactionListing listing : admin(r).listTransactions().all().get()) {
            ObjectNode node = list.addObject().put("transactional_id", listing.transactionalId());
            node.put("producer_id", listing.producerId()).put("state", listing.state().toString());
        }
        return list;
    }

    // ---- who may do what

    static AclBinding acl(JsonNode r, AclPermissionType permission) {
        ResourcePattern pattern = new ResourcePattern(
            ResourceType.fromString(text(r, "resource")), text(r, "name"),
            r.path("prefixed").asBoolean() ? PatternType.PREFIXED : PatternType.LITERAL);
        return new AclBinding(pattern, new AccessControlEntry(
            "User:" + text(r, "user"), "*", AclOperation.fromString(text(r, "operation")), permission));
    }

    static JsonNode producerQuota(JsonNode r) throws Exception {
        ClientQuotaEntity entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, text(r, "client_id")));
        ClientQuotaAlteration.Op op = new ClientQuotaAlteration.Op("producer_byte_rate", r.get("bytes").asDouble());
        return done(admin(r).alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(op)))).all());
    }

    static JsonNode scramUser(JsonNode r) throws Exception {
        ScramMechanism mechanism = ScramMechanism.fromMechanismName(text(r, "mechanism"));
        return done(admin(r).alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(
            text(r, "user"), new ScramCredentialInfo(mechanism, 4096), text(r, "password")))).all());
    }
}
