// The API's reference: Swagger UI over the contract that this server serves.
// Nothing is fetched from anywhere else.

window.SwaggerUIBundle({
  url: '/v1/openapi.json',
  dom_id: '#reference',
  deepLinking: true,
  docExpansion: 'list',
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  tagsSorter: (a, b) => 0,
  validatorUrl: null,
});
