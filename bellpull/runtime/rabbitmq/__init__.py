"""The way to RabbitMQ, for both programs."""
